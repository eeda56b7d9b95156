"""Zerodha's adapter conforms, against the simulator of Kite."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from redis.asyncio import Redis

from alphapanda.brokers.zerodha.adapter import ZerodhaBroker
from alphapanda.domain.execution import OrderReport
from alphapanda.kitesim.calls import BOOK_READS, Call
from alphapanda.kitesim.faults import Fault
from alphapanda.kitesim.server import KiteSim
from alphapanda.kitesim.settings import SimSettings
from alphapanda.ledger.engine import LedgerEngine
from alphapanda.live.limits import AccountLimits
from alphapanda.sessions.tokens import TokenStore
from alphapanda.sessions.vault import Vault
from alphapanda.settings import CallLimits, ZerodhaSettings
from tests.integration.brokers.conformance import BrokerConformance
from tests.integration.brokers.conformance_desk import ConformanceDesk, Traded, Trouble
from tests.integration.brokers.conftest import until
from tests.integration.brokers.kite_server import ZERODHA
from tests.integration.brokers.test_zerodha_on_the_simulator import TIMING

LIMITS = CallLimits(orders_per_second=1000, orders_per_minute=100_000, reads_per_second=1000)
FAULTS: dict[Trouble, list[tuple[Fault, dict[str, Any]]]] = {
    Trouble.LOST_REQUEST: [(Fault.RESET_BEFORE, {})],
    Trouble.LOST_REPLY: [(Fault.RESET_AFTER, {})],
    Trouble.LOST_CHANGE_REPLY: [(Fault.RESET_AFTER, {"calls": [Call.MODIFY, Call.CANCEL]})],
    Trouble.HIDDEN: [(Fault.HIDDEN, {}), (Fault.RESET_AFTER, {})],
    Trouble.TOO_MANY_REQUESTS: [(Fault.TOO_MANY_REQUESTS, {"calls": [Call.PLACE]})],
    Trouble.NOT_PERMITTED: [(Fault.IP_NOT_ALLOWED, {"calls": [Call.PLACE]})],
    Trouble.REJECTED_BY_EXCHANGE: [(Fault.EXCHANGE_REJECT, {})],
    Trouble.BOOK_UNAVAILABLE: [
        (Fault.HTML_502, {"calls": [*BOOK_READS, Call.POSITIONS, Call.MARGINS], "count": None})
    ],
}  # fmt: skip


class ZerodhaDesk(ConformanceDesk):
    name = "zerodha"
    share = Traded("NSE", "INFY", 1, Decimal(1500))
    refused_request_token = "made-up"
    cannot = {  # noqa: RUF012 - declared as such
        Trouble.UNREACHABLE: "the simulator is there or it is not; test_zerodha_outcomes.py has a closed port",
    }

    def __init__(self, sim: KiteSim, tokens: TokenStore, limits: AccountLimits) -> None:
        self.updates: list[OrderReport] = []
        self.sim = sim
        self.connections = 0
        future = next(each for each in sim.account.exchange.instruments if each.instrument_type == "FUT")
        self.future = Traded("NFO", future.tradingsymbol, future.lot_size, Decimal(24_000))
        settings = ZerodhaSettings(
            api_key=sim.settings.api_key, api_secret=sim.settings.api_secret, api_root=sim.url, ticker_root=sim.ws_url
        )
        self.adapter: ZerodhaBroker = ZerodhaBroker(
            ZERODHA, settings, tokens, limits, on_update=self._updated, on_reconnect=self._connected,
            on_session_lost=self._lost, ticker_timing=TIMING,
        )  # fmt: skip

    async def _updated(self, report: OrderReport) -> None:
        self.updates.append(report)

    async def _connected(self) -> None:
        self.connections += 1

    async def _lost(self, detail: str) -> None: ...

    async def trade(self, price: Decimal | int | str, *, volume: int | None = None, of: Traded | None = None) -> None:
        traded = of or self.share
        await self.sim.set_price(traded.exchange, traded.tradingsymbol, Decimal(price), volume)

    async def provoke(self, trouble: Trouble) -> None:
        if trouble is Trouble.DAY_ENDS:
            self.sim.close_market()
            return
        for fault, options in FAULTS[trouble]:
            self.sim.faults.arm(fault, **options)

    async def calm(self) -> None:
        self.sim.faults.clear()
        self.sim.release()

    async def kill_session(self) -> None:
        self.sim.expire_session()

    def request_token(self) -> str:
        return self.sim.login()


@pytest.fixture
async def desk(ledger_engine: LedgerEngine, redis: "Redis") -> AsyncIterator[ConformanceDesk]:
    async with KiteSim(SimSettings(enforce_limits=False)) as sim:
        tokens = TokenStore(ledger_engine, Vault(bytes(32)))
        made = ZerodhaDesk(sim, tokens, AccountLimits(redis, ZERODHA, LIMITS))
        running = asyncio.create_task(made.adapter.run())
        await made.adapter.open_session(sim.login())
        for of in (made.share, made.future):
            await made.trade(of.price, of=of)

        async def is_connected() -> bool:
            return made.connections == 1

        await until(is_connected)
        yield made
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await made.adapter.close()


class TestZerodha(BrokerConformance):
    pass
