"""The simulator: invented NSE shares that quote at any hour, the same for everyone with the same seed.

Time is cut into slots of 1 / ticks_per_second; each symbol has one tick per slot, a function of (seed, symbol, slot)
alone. Two simulators with the same settings emit the same ticks for the slots both are running in, whenever each
started. Invented data: good for rehearsing, worthless for judging a strategy.
"""

import asyncio
import math
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence

from alphapanda.domain.instrument import Instrument
from alphapanda.domain.vocabulary import Exchange
from alphapanda.feed.instruments import by_key, cash_equity
from alphapanda.feed.simulated_prices import Dice, PricePath, volume_rate
from alphapanda.feed.simulated_symbols import profile_of, tick_size_at
from alphapanda.feed.source import Clock, FeedSourceError
from alphapanda.live.quotes import Tick

_SESSION_S = 22_500
_MIN_VOLUME = 25
"""Fewest shares in a tick, so that a retail order fills within a few of them."""

_MAX_BEHIND_S = 5.0
"""How far the feed may lag before it leaves slots out: late ticks would look fresh and be wrong."""

_BATCH_S = 0.05
"""The time one batch covers when slots are shorter than that."""

_TICK, _SIZE = 10, 11


class SimulatedSymbol:
    """The ticks of one instrument, by slot."""

    def __init__(self, instrument: Instrument, *, seed: int, ticks_per_second: float) -> None:
        profile = profile_of(instrument.tradingsymbol)
        self._key = instrument.key
        self._rate = ticks_per_second
        self._path = PricePath(seed, instrument.tradingsymbol, profile)
        self._dice = Dice(seed, instrument.tradingsymbol)
        self._grid = float(instrument.tick_size)
        self._spread = max(1, round(profile.base_price * profile.spread_bps / 10_000 / self._grid))
        self._mean_volume = profile.session_volume / _SESSION_S / ticks_per_second

    def tick(self, slot: int, received_at: float) -> Tick:
        """The slot's one tick: somewhere within the slot, at the bid or the ask of that instant."""
        when_in_slot, buyer, _, _ = self._dice.uniforms(_TICK, slot)
        at = (slot + when_in_slot) / self._rate
        bid = max(1, round(self._path.at(at) / self._grid - self._spread / 2))
        ask = bid + self._spread
        traded = ask if buyer < 0.5 else bid
        price, best_bid, best_ask = (round(steps * self._grid, 2) for steps in (traded, bid, ask))
        return Tick(self._key, price, at, received_at, self._volume(slot, at), best_bid, best_ask)

    def _volume(self, slot: int, at: float) -> int:
        mean = self._mean_volume * volume_rate(self._path.second_of_day(at))
        # Log-normal around the mean (the -0.5 keeps it the mean): many small trades, a few large ones.
        return max(_MIN_VOLUME, round(mean * math.exp(self._dice.normal(_SIZE, slot) - 0.5)))


class SimulatorSource:
    """Simulated symbols in real time. `known`: instruments from the ledger, whose tick sizes then hold."""

    name = "simulator"
    in_lockstep = False

    def __init__(
        self,
        symbols: Iterable[str],
        *,
        seed: int,
        ticks_per_second: float,
        now: Clock,
        known: Iterable[Instrument] = (),
    ) -> None:
        loaded = {item.tradingsymbol: item for item in known if item.exchange is Exchange.NSE}
        quoted = [loaded.get(symbol) or _invented(symbol) for symbol in dict.fromkeys(symbols)]
        if not quoted:
            raise FeedSourceError("the simulator has no symbols", next_action="Name some in ALPHAPANDA_FEED__SYMBOLS.")
        self._instruments = by_key(quoted)
        self._symbols = [SimulatedSymbol(item, seed=seed, ticks_per_second=ticks_per_second) for item in quoted]
        self._rate = ticks_per_second
        self._now = now
        self.skipped = 0

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        return self._instruments

    def ticks(self, slot: int, received_at: float) -> list[Tick]:
        """Every symbol's tick of a slot, in the order of the exchange's time."""
        return sorted((symbol.tick(slot, received_at) for symbol in self._symbols), key=lambda tick: tick.exchange_time)

    async def batches(self) -> AsyncGenerator[Sequence[Tick], None]:
        """Each slot's ticks once the slot is over, for ever."""
        slot = int(self._now() * self._rate) + 1
        stride = max(1, round(self._rate * _BATCH_S))
        while True:
            await asyncio.sleep(max(0.0, (slot + stride) / self._rate - self._now()))
            now = self._now()
            behind = int((now - _MAX_BEHIND_S) * self._rate) - slot
            if behind > 0:
                self.skipped += behind * len(self._symbols)
                slot += behind
            batch: list[Tick] = []
            for due in range(slot, slot + stride):
                batch.extend(self.ticks(due, now))
            slot += stride
            yield batch


def _invented(symbol: str) -> Instrument:
    profile = profile_of(symbol)
    return cash_equity(symbol, tick_size=tick_size_at(profile.base_price), name=profile.name)
