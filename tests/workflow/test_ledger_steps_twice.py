"""A ledger step may run twice (its worker died after the commit): the second run changes nothing and says the same."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from activities.messages import CheckInput, CheckResult, Entered, RecordInput
from alphapanda.domain.execution import TradeReport
from alphapanda.domain.ids import order_id
from alphapanda.domain.reasons import ReasonCode, reason
from alphapanda.domain.signal import Signal
from alphapanda.domain.states import OrderState
from alphapanda.domain.vocabulary import SessionState
from alphapanda.ledger.brokers import register_brokers, set_session
from alphapanda.ledger.engine import LedgerEngine
from alphapanda.ledger.instruments import save_instruments
from alphapanda.ledger.intake import record_signal
from alphapanda.live.quotes import Tick, publish
from alphapanda.settings import Settings
from tests.rehearsal import INFY, PAPER, make_signal
from workflows.runtime import ledger_activities

S = OrderState
NOW = datetime.now(UTC)


@dataclass
class Steps:
    """The ledger's steps without any workflow, on one recorded signal."""

    engine: LedgerEngine
    signal: Signal
    check: Callable[[CheckInput], Awaitable[CheckResult]]
    record: Callable[[RecordInput], Awaitable[None]]

    def check_input(self, **changed: Any) -> CheckInput:
        known: dict[str, Any] = {
            "order_id": order_id(PAPER, self.signal.signal_id),
            "broker": PAPER,
            "signal": self.signal,
            "correlation_id": "c",
            "state": S.RECEIVED,
            "seq": 1,
            "not_before": datetime.now(UTC),
        }
        return CheckInput(**{**known, **changed})

    def record_input(
        self, seq: int, *entered: OrderState, trades: tuple[TradeReport, ...] = (), **flags: Any
    ) -> RecordInput:
        why = reason(ReasonCode.BROKER_ACCEPTED)
        return RecordInput(
            order_id=order_id(PAPER, self.signal.signal_id),
            broker=PAPER,
            correlation_id="c",
            seq=seq,
            entered=tuple(Entered(state=state, reason=why) for state in entered),
            trades=trades,
            quantity=10,
            filled_quantity=sum(trade.quantity for trade in trades),
            order_type=self.signal.order_type,
            validity=self.signal.validity,
            **flags,
        )

    def trade(self, number: str, quantity: int) -> TradeReport:
        terms = self.signal
        return TradeReport(
            trade_id=number, broker_order_id="1", exchange=terms.exchange, tradingsymbol=terms.tradingsymbol,
            side=terms.side, product=terms.product, quantity=quantity, price=Decimal("1500.05"), traded_at=NOW,
        )  # fmt: skip

    async def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """All rows of the ledger, to the last column."""
        tables = ("orders", "order_events", "reservations", "fills", "positions", "portfolio_days")
        async with self.engine.connect() as connection:
            return {
                table: sorted(
                    (tuple(row) for row in (await connection.execute(text(f"SELECT * FROM {table}"))).all()), key=str
                )
                for table in tables
            }


@pytest.fixture
async def steps(ledger_engine: LedgerEngine, redis: "Redis", settings: Settings) -> Steps:
    await register_brokers(ledger_engine, [PAPER], now=NOW)
    async with ledger_engine.begin() as connection:
        await save_instruments(connection, [INFY], source="test", as_of=date(2026, 11, 20))
    now = datetime.now(UTC).timestamp()
    await publish(redis, [Tick("NSE:INFY", 1500.0, now, now)])
    signal = make_signal()
    await record_signal(ledger_engine, signal, correlation_id="c", now=datetime.now(UTC))
    check, record, *_ = ledger_activities(ledger_engine, redis, settings)
    return Steps(ledger_engine, signal, check, record)


async def test_clearing_twice_enters_and_reserves_once(steps: Steps) -> None:
    first = await steps.check(steps.check_input())
    assert [each.state for each in first.entered] == [S.VALIDATED, S.APPROVED, S.SUBMITTING]
    before = await steps.everything()
    assert await steps.check(steps.check_input()) == first
    assert await steps.everything() == before


async def test_clearing_an_invalid_signal_twice_says_the_same(steps: Steps) -> None:
    invalid = steps.check_input(signal=steps.signal.model_copy(update={"tradingsymbol": "NOSUCH"}))
    first = await steps.check(invalid)
    before = await steps.everything()
    assert await steps.check(invalid) == first
    assert await steps.everything() == before


async def test_clearing_into_a_dead_session_twice_says_the_same(steps: Steps) -> None:
    await set_session(steps.engine, PAPER, SessionState.EXPIRED, actor="t", reason="", at=datetime.now(UTC))
    first = await steps.check(steps.check_input())
    assert first.entered[-1].state is S.AWAITING_AUTH
    before = await steps.everything()
    assert await steps.check(steps.check_input()) == first
    assert await steps.everything() == before


async def test_recording_fills_twice_books_them_once(steps: Steps) -> None:
    seq = (await steps.check(steps.check_input())).seq
    step = steps.record_input(
        seq, S.OPEN, S.PARTIALLY_FILLED, trades=(steps.trade("a", 3), steps.trade("b", 4)), broker_order_id="1"
    )
    await steps.record(step)
    before = await steps.everything()
    await steps.record(step)
    assert await steps.everything() == before


async def test_a_step_that_comes_late_does_not_undo_what_came_after_it(steps: Steps) -> None:
    seq = (await steps.check(steps.check_input())).seq
    opened = steps.record_input(seq, S.OPEN, broker_order_id="1", cancel_requested=True)
    await steps.record(opened)
    await steps.record(steps.record_input(seq + 1, S.FILLED, trades=(steps.trade("a", 10),), broker_order_id="1"))
    before = await steps.everything()
    await steps.record(opened)
    assert await steps.everything() == before


async def test_the_same_trade_in_two_steps_is_booked_once(steps: Steps) -> None:
    seq = (await steps.check(steps.check_input())).seq
    await steps.record(steps.record_input(seq, S.OPEN, S.PARTIALLY_FILLED, trades=(steps.trade("a", 4),)))
    both = (steps.trade("a", 4), steps.trade("b", 6))
    await steps.record(steps.record_input(seq + 2, S.FILLED, trades=both))
    everything = await steps.everything()
    assert len(everything["fills"]) == 2
    assert everything["reservations"] == []
