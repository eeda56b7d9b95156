"""Prices of its own: the packaged symbols on the same seeded paths as the desk's simulated feed."""

import asyncio
import time
from decimal import Decimal

from alphapanda.feed.instruments import cash_equity
from alphapanda.feed.simulated_symbols import known_symbols, profile_of, tick_size_at
from alphapanda.feed.simulator import SimulatedSymbol
from alphapanda.kitesim.account import Account
from alphapanda.kitesim.actions import set_price

_PLACES = Decimal("0.01")
_EXCHANGE = "NSE"


class Walk:
    """Two simulators with the same seed quote the same prices at the same time."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._rate = account.settings.walk_ticks_per_second
        self._symbols = {
            symbol: SimulatedSymbol(
                cash_equity(symbol, tick_size=tick_size_at(profile_of(symbol).base_price)),
                seed=account.settings.seed,
                ticks_per_second=self._rate,
            )
            for symbol in known_symbols()
        }

    def step(self, slot: int) -> None:
        """Every symbol's tick of one slot of 1 / ticks-per-second."""
        now = time.time()
        for symbol, walking in self._symbols.items():
            tick = walking.tick(slot, now)
            bid, ask = tick.bid or tick.last_price, tick.ask or tick.last_price
            set_price(
                self._account, _EXCHANGE, symbol, _rupees(tick.last_price),
                volume=tick.volume, bid=_rupees(bid), ask=_rupees(ask),
            )  # fmt: skip

    async def run(self) -> None:
        """In real time, until cancelled; what it could not do in time it leaves out."""
        slot = int(time.time() * self._rate)
        self.step(slot)  # or the first order would meet a price that is no part of the walk
        while True:
            slot = max(slot + 1, int(time.time() * self._rate))
            await asyncio.sleep(max(0.0, slot / self._rate - time.time()))
            self.step(slot)


def _rupees(price: float) -> Decimal:
    return Decimal(repr(price)).quantize(_PLACES)
