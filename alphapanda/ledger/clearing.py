"""Clearing: check and reserve in one transaction, so that two signals cannot break a limit together.

The portfolio's row lock serialises all checks of a broker. A second run of a step finds its events already there and
returns them instead of deciding again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alphapanda.domain.calendar import trading_date
from alphapanda.domain.ids import Broker, OrderId, Tag, order_tag, order_workflow_id
from alphapanda.domain.signal import Signal
from alphapanda.domain.states import TERMINAL, OrderState
from alphapanda.domain.vocabulary import SessionState, TradingSwitch
from alphapanda.ledger.events import INSERT_EVENTS, Transition, event_parameters, transitions_after
from alphapanda.risk.book import Book
from alphapanda.risk.clearance import Verdict

# The lock comes in a statement of its own: the next one then sees everything committed before it was granted.
_LOCK = text("""
SELECT o.seq, o.state, o.tag FROM portfolios p JOIN orders o ON o.broker = p.broker
WHERE o.order_id = :order_id FOR UPDATE
""")

_BOOK = text("""
SELECT b.session, b.switch, held.position, held.position_all, promised.buys, promised.sells, promised.exits,
    coalesce(day.realised - day.charges, 0) AS day_result,
    CASE WHEN CAST(:twins_since AS timestamptz) IS NULL THEN 0 ELSE (
        SELECT count(*) FROM orders t WHERE t.strategy_id = :strategy_id AND t.created_at > :twins_since
        AND t.broker = :broker AND t.exchange = :exchange AND t.tradingsymbol = :tradingsymbol AND t.side = :side
        AND t.quantity = :quantity AND t.order_id <> :order_id AND t.created_at <= :now
        AND t.state NOT IN ('INVALID', 'DENIED', 'FAILED')) END AS twins
FROM broker_states b
CROSS JOIN LATERAL (
    SELECT coalesce(sum(quantity) FILTER (WHERE product = :product), 0)::bigint AS position,
        coalesce(sum(quantity), 0)::bigint AS position_all
    FROM positions WHERE broker = b.broker AND exchange = :exchange AND tradingsymbol = :tradingsymbol
) held
CROSS JOIN LATERAL (
    SELECT coalesce(sum(quantity) FILTER (WHERE side = 'BUY'), 0)::bigint AS buys,
        coalesce(sum(quantity) FILTER (WHERE side = 'SELL'), 0)::bigint AS sells,
        coalesce(sum(quantity) FILTER (WHERE is_exit AND side = :side), 0)::bigint AS exits
    FROM reservations WHERE broker = b.broker AND exchange = :exchange AND tradingsymbol = :tradingsymbol
        AND order_id <> :order_id
) promised
LEFT JOIN portfolio_days day ON day.broker = b.broker AND day.trading_date = :today
WHERE b.broker = :broker
""")

_WRITE = text(f"""
WITH events AS ({INSERT_EVENTS} RETURNING 1),
reserved AS (
    INSERT INTO reservations (order_id, broker, exchange, tradingsymbol, side, quantity, price, is_exit)
    SELECT :order_id, :broker, :exchange, :tradingsymbol, :side, :quantity, :value_price, :is_exit WHERE :reserve
    ON CONFLICT DO NOTHING RETURNING 1
), released AS (
    DELETE FROM reservations WHERE order_id = :order_id AND :release RETURNING 1
)
UPDATE orders SET state = :state, reason_code = :code, reason = :reason, seq = :new_seq, updated_at = :now,
    tag = coalesce(tag, :tag), closed_at = CASE WHEN :release THEN CAST(:now AS timestamptz) END
WHERE order_id = :order_id
""")


@dataclass(frozen=True, slots=True)
class ClearingStep:
    """One order to clear: `seq` and `state` as its workflow knows them."""

    order_id: OrderId
    broker: Broker
    signal: Signal
    correlation_id: str
    state: OrderState
    seq: int
    duplicate_window: timedelta
    actor: str


@dataclass(frozen=True, slots=True)
class Cleared:
    """What the step entered (recorded now or by an earlier run), the last event's number, the tag once there is one."""

    transitions: tuple[Transition, ...]
    seq: int
    tag: Tag | None
    verdict: Verdict | None
    """None when an earlier run decided: the transitions then tell all."""
    is_exit: bool


async def clear_order(
    engine: AsyncEngine, step: ClearingStep, *, now: datetime, decide: Callable[[Book], Verdict]
) -> Cleared:
    """Read the book under lock, let `decide` judge, record its steps with tag and reservation: one commit."""
    async with engine.begin() as connection:
        locked = await lock_order(connection, step.order_id)
        if locked.seq > step.seq:
            return await _decided_before(connection, step, locked.seq, locked.tag)
        verdict = decide(await read_book(connection, step, now))
        transitions = tuple(Transition(state, why, step.actor) for state, why in verdict.steps)
        if not transitions:
            return Cleared((), step.seq, locked.tag, verdict, verdict.is_exit)
        tag = Tag(locked.tag) if locked.tag else _tag_for(step, transitions)
        await _write(connection, step, verdict, transitions, tag, now)
    return Cleared(transitions, step.seq + len(transitions), tag, verdict, verdict.is_exit)


async def lock_order(connection: AsyncConnection, order_id: OrderId) -> Row[Any]:
    """The order's seq, state and tag, with its portfolio locked until the transaction ends."""
    return (await connection.execute(_LOCK, {"order_id": order_id})).one()


def _tag_for(step: ClearingStep, transitions: tuple[Transition, ...]) -> Tag | None:
    """The tag is stored with the intent, before anything can be sent."""
    intended = any(item.state is OrderState.APPROVED for item in transitions)
    return order_tag(order_workflow_id(step.broker, step.signal.signal_id)) if intended else None


async def read_book(connection: AsyncConnection, step: ClearingStep, now: datetime) -> Book:
    """The book around the step's signal, without the order's own reservation."""
    signal, window = step.signal, step.duplicate_window
    row = (
        await connection.execute(
            _BOOK,
            {
                "broker": step.broker,
                "exchange": signal.exchange,
                "tradingsymbol": signal.tradingsymbol,
                "product": signal.product,
                "side": signal.side,
                "quantity": signal.quantity,
                "strategy_id": signal.strategy_id,
                "order_id": step.order_id,
                "now": now,
                "today": trading_date(now),
                "twins_since": now - window if window else None,
            },
        )
    ).one()
    return Book(
        session=SessionState(row.session),
        switch=TradingSwitch(row.switch),
        position=row.position,
        position_all_products=row.position_all,
        reserved_buys=row.buys,
        reserved_sells=row.sells,
        reserved_exits=row.exits,
        day_result=Decimal(row.day_result),
        recent_twins=row.twins,
    )


async def _write(
    connection: AsyncConnection,
    step: ClearingStep,
    verdict: Verdict,
    transitions: tuple[Transition, ...],
    tag: Tag | None,
    now: datetime,
) -> None:
    last = transitions[-1]
    signal = step.signal
    await connection.execute(
        _WRITE,
        {
            **event_parameters(transitions, step.state),
            "order_id": step.order_id,
            "broker": step.broker,
            "seq": step.seq,
            "new_seq": step.seq + len(transitions),
            "now": now,
            "correlation_id": step.correlation_id,
            "exchange": signal.exchange,
            "tradingsymbol": signal.tradingsymbol,
            "side": signal.side,
            "quantity": signal.quantity,
            "value_price": verdict.reserve_price,
            "is_exit": verdict.is_exit,
            "reserve": verdict.reserve,
            "release": last.state in TERMINAL,
            "state": str(last.state),
            "code": str(last.reason.code),
            "reason": str(last.reason),
            "tag": tag,
        },
    )


async def _decided_before(connection: AsyncConnection, step: ClearingStep, seq: int, tag: str | None) -> Cleared:
    recorded = await transitions_after(connection, step.order_id, step.seq)
    found = await connection.execute(
        text("SELECT is_exit FROM reservations WHERE order_id = :order_id"), {"order_id": step.order_id}
    )
    is_exit = found.scalar_one_or_none()
    return Cleared(recorded, seq, Tag(tag) if tag else None, None, bool(is_exit))
