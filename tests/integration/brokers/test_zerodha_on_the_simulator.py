"""The adapter as it runs, with its stored session and the account's limits, against the simulator of Kite."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from redis.asyncio import Redis

from alphapanda.brokers.protocol import AmbiguousOutcome, BrokerRejected, NotAuthenticated
from alphapanda.brokers.zerodha.adapter import ZerodhaBroker
from alphapanda.brokers.zerodha.ticker import TickerState, TickerTiming
from alphapanda.domain.execution import BookStatus, OrderChange, OrderReport, OrderRequest
from alphapanda.domain.ids import Tag
from alphapanda.domain.vocabulary import SessionState, Variety
from alphapanda.kitesim.faults import Fault
from alphapanda.kitesim.server import KiteSim
from alphapanda.kitesim.settings import SimSettings
from alphapanda.ledger.engine import LedgerEngine
from alphapanda.live.limits import AccountLimits
from alphapanda.sessions.tokens import TokenStore
from alphapanda.sessions.vault import Vault
from alphapanda.settings import CallLimits, ZerodhaSettings
from tests.integration.brokers.kite_server import ZERODHA
from tests.unit.brokers.zerodha.kite_rows import request

TIMING = TickerTiming(
    stale_after_s=600, open_within_s=600, first_backoff_s=0.02, longest_backoff_s=0.1, token_poll_s=0.02
)


@dataclass
class Desk:
    sim: KiteSim
    tokens: TokenStore
    broker: ZerodhaBroker = field(init=False)
    updates: list[OrderReport] = field(default_factory=list)
    connections: int = 0
    lost: list[str] = field(default_factory=list)
    _placed: int = 0

    async def update(self, report: OrderReport) -> None:
        self.updates.append(report)

    async def reconnected(self) -> None:
        self.connections += 1

    async def session_lost(self, detail: str) -> None:
        self.lost.append(detail)

    def order(self, **changes: Any) -> OrderRequest:
        self._placed += 1
        return request(**changes).model_copy(update={"tag": Tag(f"SIM{self._placed:017}")})

    async def place(self, **changes: Any) -> OrderReport:
        placed = await self.broker.place(self.order(**changes))
        report = await self.broker.order(placed.broker_order_id)
        assert report is not None
        assert report.broker_order_id == placed.broker_order_id
        return report


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


@pytest.fixture
async def desk(ledger_engine: LedgerEngine, redis: "Redis") -> AsyncIterator[Desk]:
    async with KiteSim(SimSettings(enforce_limits=False)) as sim:
        made = Desk(sim, TokenStore(ledger_engine, Vault(bytes(32))))
        settings = ZerodhaSettings(
            api_key=sim.settings.api_key, api_secret=sim.settings.api_secret, api_root=sim.url, ticker_root=sim.ws_url,
            timeout_s=10, order_timeout_s=1,
        )  # fmt: skip
        limits = CallLimits(orders_per_second=1000, orders_per_minute=100_000, reads_per_second=1000)
        made.broker = ZerodhaBroker(
            ZERODHA, settings, made.tokens, AccountLimits(redis, ZERODHA, limits),
            on_update=made.update, on_reconnect=made.reconnected, on_session_lost=made.session_lost,
            ticker_timing=TIMING,
        )  # fmt: skip
        running = asyncio.create_task(made.broker.run())
        await made.broker.open_session(sim.login())
        await sim.set_price("NSE", "INFY", "1500.05")
        await until(lambda: made.connections == 1)
        yield made
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await made.broker.close()


async def test_a_market_order_is_filled_and_told(desk: Desk) -> None:
    report = await desk.place(quantity=7)
    assert (report.status, report.filled_quantity, report.average_price) == (BookStatus.COMPLETE, 7, Decimal("1500.05"))
    assert [(trade.quantity, trade.price) for trade in report.trades or ()] == [(7, Decimal("1500.05"))]
    assert report.tag is not None
    assert await desk.broker.find_by_tag(Tag(report.tag)) == report
    assert tuple(await desk.broker.trades()) == report.trades
    (position,) = await desk.broker.positions()
    assert (position.tradingsymbol, position.quantity) == ("INFY", 7)
    margins = await desk.broker.margins()
    assert margins.available + margins.used == margins.cash
    await until(lambda: any(each.status is BookStatus.COMPLETE for each in desk.updates))


@pytest.mark.parametrize(
    "changes",
    [
        {"order_type": "LIMIT", "price": "1400"},
        {"order_type": "SL", "side": "SELL", "price": "1390", "trigger_price": "1400"},
        {"order_type": "SL-M", "side": "SELL", "trigger_price": "1400"},
        {"order_type": "LIMIT", "price": "1400", "validity": "TTL", "validity_minutes": 5},
        {"order_type": "LIMIT", "price": "1400", "product": "MTF"},
    ],
)
async def test_an_order_rests_is_changed_and_cancelled(desk: Desk, changes: dict[str, Any]) -> None:
    report = await desk.place(**changes)
    assert not report.status.is_final
    change = OrderChange(trigger_price=Decimal("1395")) if "trigger_price" in changes else OrderChange(quantity=12)
    await desk.broker.modify(report.broker_order_id, change)
    changed = await desk.broker.order(report.broker_order_id)
    assert changed is not None
    assert (changed.quantity, changed.trigger_price) in ((12, None), (10, Decimal("1395")))
    await desk.broker.cancel(report.broker_order_id)
    ended = await desk.broker.order(report.broker_order_id)
    assert ended is not None
    assert ended.status is BookStatus.CANCELLED


async def test_an_ioc_that_meets_nobody_is_cancelled(desk: Desk) -> None:
    report = await desk.place(order_type="LIMIT", price="1400", validity="IOC")
    assert (report.status, report.filled_quantity) == (BookStatus.CANCELLED, 0)


async def test_an_after_market_order_is_cancelled_before_and_after_the_open(desk: Desk) -> None:
    desk.sim.close_market()
    waiting, opened = [
        await desk.place(variety="amo", order_type="LIMIT", price="1400", product="CNC") for _ in range(2)
    ]
    assert (waiting.status, waiting.variety) == (BookStatus.OPEN, Variety.AMO)
    await desk.broker.cancel(waiting.broker_order_id)
    desk.sim.open_market()
    await desk.broker.cancel(opened.broker_order_id)
    for each in (waiting, opened):
        ended = await desk.broker.order(each.broker_order_id)
        assert ended is not None
        assert ended.status is BookStatus.CANCELLED


async def test_an_iceberg_is_one_order(desk: Desk) -> None:
    resting = await desk.place(variety="iceberg", iceberg_legs=5, quantity=50, order_type="LIMIT", price="1400")
    assert (resting.status, resting.quantity, resting.whole) == (BookStatus.OPEN, 50, False)
    await desk.broker.cancel(resting.broker_order_id)
    ended = await desk.broker.order(resting.broker_order_id)
    assert ended is not None
    assert (ended.status, ended.filled_quantity) == (BookStatus.CANCELLED, 0)
    filled = await desk.place(variety="iceberg", iceberg_legs=5, quantity=50, order_type="LIMIT", price="1600")
    for _ in range(10):
        await desk.sim.set_price("NSE", "INFY", "1500.05")
    whole = await desk.broker.order(filled.broker_order_id)
    assert whole is not None
    assert (whole.status, whole.filled_quantity, len(whole.trades or ())) == (BookStatus.COMPLETE, 50, 5)


async def test_a_sliced_order_is_one_order_of_which_a_slice_may_be_refused(desk: Desk) -> None:
    await desk.sim.set_price("NFO", "NIFTY26NOVFUT", "24000")
    future: dict[str, Any] = {"exchange": "NFO", "tradingsymbol": "NIFTY26NOVFUT", "product": "NRML"}
    filled = await desk.place(quantity=65 * 60, **future)
    assert (filled.status, filled.quantity, filled.filled_quantity) == (BookStatus.COMPLETE, 3900, 3900)
    assert {trade.broker_order_id for trade in await desk.broker.trades()} == {filled.broker_order_id}
    desk.sim.faults.arm(Fault.SLICE_FAILURE)
    placed = await desk.broker.place(desk.order(quantity=65 * 60, **future))
    assert placed.report is not None
    assert placed.report.filled_quantity + placed.report.unplaced_quantity == 3900
    assert placed.report.unplaced_quantity > 0
    assert placed.report.message


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        (Fault.TIMEOUT_BEFORE, False), (Fault.TIMEOUT_AFTER, True), (Fault.RESET_BEFORE, False),
        (Fault.RESET_AFTER, True), (Fault.SERVER_ERROR, True), (Fault.HTML_502, True), (Fault.MALFORMED_JSON, True),
        (Fault.NO_DATA, True), (Fault.NO_CONTENT_TYPE, True), (Fault.REDIRECT, True), (Fault.NO_ERROR_TYPE, True),
    ],
)  # fmt: skip
async def test_what_became_of_an_order_in_doubt_is_in_the_book(desk: Desk, fault: Fault, found: bool) -> None:
    desk.sim.faults.arm(fault)
    asked = desk.order()
    with pytest.raises(AmbiguousOutcome):
        await desk.broker.place(asked)
    report = await desk.broker.find_by_tag(asked.tag)
    assert (report is not None) is found
    assert desk.sim.faults.armed == ()


async def test_the_400_that_is_no_refusal_is_found_once_it_was_placed(desk: Desk) -> None:
    desk.sim.faults.arm(Fault.TIMED_OUT_400, seconds=0.2)
    asked = desk.order()
    with pytest.raises(AmbiguousOutcome, match="check the order book"):
        await desk.broker.place(asked)
    async with asyncio.timeout(20):
        while await desk.broker.find_by_tag(asked.tag) is None:
            await asyncio.sleep(0.02)


async def test_a_dead_session_is_noticed_by_the_socket_and_healed_by_a_login(desk: Desk) -> None:
    desk.sim.expire_session()
    await until(lambda: bool(desk.lost))
    with pytest.raises(NotAuthenticated):
        await desk.broker.place(desk.order())
    assert (await desk.broker.session()).state is SessionState.LOGIN_REQUIRED
    with pytest.raises(NotAuthenticated):
        await desk.broker.open_session("made-up")
    await desk.broker.open_session(desk.sim.login())
    await until(lambda: desk.connections == 2)
    assert (await desk.place()).status is BookStatus.COMPLETE
    assert len(desk.lost) == 1


async def test_a_plan_without_a_socket_loses_no_session(desk: Desk) -> None:
    desk.sim.faults.arm(Fault.SOCKET_FORBIDDEN)
    desk.sim.drop_sockets()
    await until(lambda: desk.broker._updates.ticker.state is TickerState.REFUSED)
    assert (await desk.broker.session()).state is SessionState.ACTIVE
    assert (await desk.place()).status is BookStatus.COMPLETE
    assert desk.lost == []


async def test_a_refusal_is_passed_on_in_the_brokers_words(desk: Desk) -> None:
    desk.sim.faults.arm(Fault.REJECT_MARGIN)
    with pytest.raises(BrokerRejected, match="Insufficient funds"):
        await desk.broker.place(desk.order())
