"""Clearing: check and reserve as one, so that two signals cannot break a limit together.

The book is read with the portfolio's version, and the verdict lands only on that version. A second run of a step
finds its events already there and returns them instead of deciding again.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from alphapanda.domain.calendar import trading_date
from alphapanda.domain.ids import Broker, OrderId, Tag, order_tag, order_workflow_id
from alphapanda.domain.signal import Signal
from alphapanda.domain.states import TERMINAL, OrderState
from alphapanda.domain.vocabulary import SessionState, TradingSwitch
from alphapanda.ledger.engine import LedgerEngine, PortfolioMoved
from alphapanda.ledger.events import INSERT_EVENTS, Transition, event_parameters, transitions_after
from alphapanda.ledger.fast import Fetch, Row, Statement
from alphapanda.risk.book import Book
from alphapanda.risk.clearance import Verdict

_BOOK = Statement("""
SELECT o.seq, o.tag, p.version, b.session, b.session_since, b.switch, held.position, held.position_all,
    promised.buys, promised.sells, promised.exits,
    coalesce(day.realised - day.charges, 0) AS day_result,
    CASE WHEN CAST(:twins_since AS timestamptz) IS NULL THEN 0 ELSE (
        SELECT count(*) FROM orders t WHERE t.strategy_id = :strategy_id AND t.created_at > :twins_since
        AND t.broker = o.broker AND t.exchange = :exchange AND t.tradingsymbol = :tradingsymbol AND t.side = :side
        AND t.quantity = :quantity AND t.order_id <> :order_id AND t.created_at <= :now
        AND t.state NOT IN ('INVALID', 'DENIED', 'FAILED')) END AS twins
FROM orders o JOIN broker_states b USING (broker) JOIN portfolios p USING (broker)
CROSS JOIN LATERAL (
    SELECT coalesce(sum(quantity) FILTER (WHERE product = :product), 0)::bigint AS position,
        coalesce(sum(quantity), 0)::bigint AS position_all
    FROM positions WHERE broker = b.broker AND exchange = :exchange AND tradingsymbol = :tradingsymbol
) held
CROSS JOIN LATERAL (
    SELECT coalesce(sum(r.quantity) FILTER (WHERE r.side = 'BUY'), 0)::bigint AS buys,
        coalesce(sum(r.quantity) FILTER (WHERE r.side = 'SELL'), 0)::bigint AS sells,
        coalesce(sum(r.quantity) FILTER (WHERE r.is_exit AND r.side = :side AND promise.product = :product), 0)
            ::bigint AS exits
    FROM reservations r JOIN orders promise USING (order_id)
    WHERE r.broker = b.broker AND r.exchange = :exchange AND r.tradingsymbol = :tradingsymbol
        AND r.order_id <> :order_id
) promised
LEFT JOIN portfolio_days day ON day.broker = b.broker AND day.trading_date = :today
WHERE o.order_id = :order_id
""")

IS_EXIT = Statement("SELECT is_exit FROM reservations WHERE order_id = :order_id")

_WRITE = Statement(f"""
WITH turn AS (
    UPDATE portfolios SET version = version + 1 WHERE broker = :broker AND version = :version RETURNING 1
), events AS ({INSERT_EVENTS} RETURNING 1),
reserved AS (
    INSERT INTO reservations (order_id, broker, exchange, tradingsymbol, side, quantity, price, is_exit)
    SELECT :order_id, :broker, :exchange, :tradingsymbol, :side, CAST(:quantity AS bigint),
        CAST(:value_price AS numeric), CAST(:is_exit AS boolean)
    FROM turn WHERE CAST(:reserve AS boolean)
    ON CONFLICT DO NOTHING RETURNING 1
), released AS (
    DELETE FROM reservations USING turn WHERE order_id = :order_id AND CAST(:release AS boolean) RETURNING 1
)
UPDATE orders SET state = :state, reason_code = :code, reason = :reason, seq = :new_seq, updated_at = :now,
    tag = coalesce(tag, :tag), closed_at = CASE WHEN CAST(:release AS boolean) THEN CAST(:now AS timestamptz) END
FROM turn WHERE order_id = :order_id
RETURNING seq
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
    session_since: datetime
    """Since when the ledger has the session as the verdict found it."""


async def clear_order(
    engine: LedgerEngine, step: ClearingStep, *, now: datetime, decide: Callable[[Book], Awaitable[Verdict]]
) -> Cleared:
    """Read the book, let `decide` judge, record its steps with tag and reservation: one commit."""

    async def attempt(fetch: Fetch) -> Cleared:
        row = await read_portfolio(fetch, step, now)
        if row["seq"] > step.seq:
            return await _decided_before(fetch, step, row)
        verdict = await decide(book_of(row))
        transitions = tuple(Transition(state, why, step.actor) for state, why in verdict.steps)
        if not transitions:
            return Cleared((), step.seq, row["tag"], verdict, verdict.is_exit, row["session_since"])
        tag = Tag(row["tag"]) if row["tag"] else _tag_for(step, transitions)
        written = await fetch(_WRITE, _parameters(step, verdict, transitions, tag, now) | {"version": row["version"]})
        if not written:
            raise PortfolioMoved
        return Cleared(transitions, step.seq + len(transitions), tag, verdict, verdict.is_exit, row["session_since"])

    return await engine.in_turn(step.broker, attempt)


def _tag_for(step: ClearingStep, transitions: tuple[Transition, ...]) -> Tag | None:
    """The tag is stored with the intent, before anything can be sent."""
    intended = any(item.state is OrderState.APPROVED for item in transitions)
    return order_tag(order_workflow_id(step.broker, step.signal.signal_id)) if intended else None


async def read_portfolio(fetch: Fetch, step: ClearingStep, now: datetime) -> Row:
    """The order's seq and tag, the portfolio's version, and the book around the signal (see `book_of`)."""
    signal, window = step.signal, step.duplicate_window
    rows = await fetch(
        _BOOK,
        {
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
    return rows[0]


def book_of(row: Row) -> Book:
    """The book as read, without the order's own reservation."""
    return Book(
        session=SessionState(row["session"]),
        switch=TradingSwitch(row["switch"]),
        position=row["position"],
        position_all_products=row["position_all"],
        reserved_buys=row["buys"],
        reserved_sells=row["sells"],
        reserved_exits=row["exits"],
        day_result=row["day_result"],
        recent_twins=row["twins"],
    )


def _parameters(
    step: ClearingStep,
    verdict: Verdict,
    transitions: tuple[Transition, ...],
    tag: Tag | None,
    now: datetime,
) -> dict[str, Any]:
    last = transitions[-1]
    signal = step.signal
    return {
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
    }


async def _decided_before(fetch: Fetch, step: ClearingStep, row: Row) -> Cleared:
    recorded = await transitions_after(fetch, step.order_id, step.seq)
    reserved = await fetch(IS_EXIT, {"order_id": step.order_id})
    is_exit = bool(reserved and reserved[0]["is_exit"])
    tag = Tag(row["tag"]) if row["tag"] else None
    return Cleared(recorded, row["seq"], tag, None, is_exit, row["session_since"])
