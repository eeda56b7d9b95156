"""Intake: a signal and its orders, recorded in one transaction before any workflow starts."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.domain.errors import AlphaPandaError
from alphapanda.domain.ids import Broker, OrderId, SignalId, order_id, order_workflow_id
from alphapanda.domain.reasons import ReasonCode
from alphapanda.domain.signal import Signal
from alphapanda.domain.states import OrderState
from alphapanda.ledger.engine import LedgerEngine
from alphapanda.ledger.fast import Statement


class SignalConflict(AlphaPandaError):  # noqa: N818 - named for the condition
    """The same signal_id came before with other content."""

    code = "SIGNAL_ID_CONFLICT"
    default_next_action = "Send a new signal_id, or the original content."


@dataclass(frozen=True, slots=True)
class RecordedOrder:
    order_id: OrderId
    broker: Broker
    state: OrderState
    seq: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """`created` is False when the signal was known; its orders are then given as they stand."""

    created: bool
    correlation_id: str
    orders: tuple[RecordedOrder, ...]


# The unique key decides the winner among racing repeats; the losers see nothing inserted and read what is there.
_INSERT = Statement("""
WITH accepted AS (
    INSERT INTO signals (signal_id, strategy_id, brokers, exchange, tradingsymbol, side, quantity, order_type, product,
        price, trigger_price, validity, validity_minutes, variety, iceberg_legs, generated_at, expires_at,
        wait_for_open, metadata, fingerprint, correlation_id, accepted_at)
    VALUES (:signal_id, :strategy_id, CAST(:brokers AS text[]), :exchange, :tradingsymbol, :side, :quantity,
        :order_type, :product, :price, :trigger_price, :validity, :validity_minutes, :variety, :iceberg_legs,
        :generated_at, :expires_at, :wait_for_open, CAST(:metadata AS jsonb), :fingerprint, :correlation_id, :now)
    ON CONFLICT DO NOTHING
    RETURNING signal_id
), placed AS (
    INSERT INTO orders (order_id, signal_id, broker, strategy_id, workflow_id, correlation_id, exchange, tradingsymbol,
        side, quantity, order_type, product, price, trigger_price, validity, validity_minutes, variety,
        iceberg_legs, state, reason_code, reason, seq, created_at, updated_at)
    SELECT fork.order_id, :signal_id, fork.broker, :strategy_id, fork.workflow_id, :correlation_id, :exchange,
        :tradingsymbol, :side, CAST(:quantity AS bigint), :order_type, :product, CAST(:price AS numeric),
        CAST(:trigger_price AS numeric), :validity, CAST(:validity_minutes AS integer), :variety,
        CAST(:iceberg_legs AS integer), 'RECEIVED', :code, :code, 1, CAST(:now AS timestamptz),
        CAST(:now AS timestamptz)
    FROM accepted, unnest(CAST(:order_ids AS text[]), CAST(:brokers AS text[]), CAST(:workflow_ids AS text[]))
        AS fork (order_id, broker, workflow_id)
    RETURNING order_id, broker
)
INSERT INTO order_events (order_id, seq, broker, at, from_state, to_state, reason_code, reason, actor, correlation_id)
SELECT order_id, 1, broker, CAST(:now AS timestamptz), NULL, 'RECEIVED', :code, :code, :strategy_id,
    :correlation_id
FROM placed
RETURNING order_id
""")

_EXISTING = text("""
SELECT s.fingerprint, s.correlation_id, o.order_id, o.broker, o.state, o.seq
FROM signals s JOIN orders o USING (signal_id) WHERE s.signal_id = :signal_id ORDER BY o.broker
""")


def fingerprint(signal: Signal) -> str:
    """What makes two signals with one id the same: everything but the moments stamped on arrival."""
    content = signal.model_dump(mode="json", exclude={"generated_at", "expires_at"})
    content["brokers"] = sorted(signal.brokers)
    for name in ("variety", "iceberg_legs"):  # later than the first signals, which were all of the default
        if getattr(signal, name) == Signal.model_fields[name].default:
            del content[name]
    for name in ("price", "trigger_price"):  # 1450 and 1450.00 are one price
        exact = getattr(signal, name)
        content[name] = None if exact is None else f"{exact.normalize():f}"
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()


async def record_signal(engine: LedgerEngine, signal: Signal, *, correlation_id: str, now: datetime) -> Recorded:
    """Record the signal and one RECEIVED order per broker: one commit. Raises SignalConflict.

    The same signal again changes nothing and returns its orders as they stand.
    """
    order_ids = [order_id(broker, signal.signal_id) for broker in signal.brokers]
    inserted = await engine.fast.fetch(_INSERT, _parameters(signal, order_ids, correlation_id, now))
    if not inserted:
        return await _existing(engine, signal)
    orders = zip(order_ids, signal.brokers, strict=True)
    return Recorded(
        created=True,
        correlation_id=correlation_id,
        orders=tuple(RecordedOrder(order, broker, OrderState.RECEIVED, 1) for order, broker in orders),
    )


def _parameters(signal: Signal, order_ids: Sequence[OrderId], correlation_id: str, now: datetime) -> dict[str, Any]:
    return {
        **signal.model_dump(exclude={"metadata", "brokers"}),
        "metadata": orjson.dumps(signal.metadata).decode(),
        "brokers": list(signal.brokers),
        "fingerprint": fingerprint(signal),
        "correlation_id": correlation_id,
        "now": now,
        "code": ReasonCode.SIGNAL_ACCEPTED.value,
        "order_ids": list(order_ids),
        "workflow_ids": [order_workflow_id(broker, signal.signal_id) for broker in signal.brokers],
    }


async def _existing(engine: AsyncEngine, signal: Signal) -> Recorded:
    async with engine.connect() as connection:
        rows = (await connection.execute(_EXISTING, {"signal_id": signal.signal_id})).all()
    if not rows or rows[0].fingerprint != fingerprint(signal):
        raise SignalConflict(f"signal_id: {signal.signal_id!r} was sent before with different content")
    return Recorded(
        created=False,
        correlation_id=rows[0].correlation_id,
        orders=tuple(RecordedOrder(OrderId(r.order_id), Broker(r.broker), OrderState(r.state), r.seq) for r in rows),
    )


@dataclass(frozen=True, slots=True)
class Unstarted:
    """A RECEIVED order with all that its workflow's input needs."""

    order_id: OrderId
    broker: Broker
    seq: int
    correlation_id: str
    signal: Signal


_UNSTARTED = text("""
SELECT o.order_id, o.broker, o.seq, o.correlation_id, to_jsonb(s) AS signal
FROM orders o JOIN signals s USING (signal_id)
WHERE o.state = 'RECEIVED' AND o.updated_at < :before AND o.broker = ANY(CAST(:brokers AS text[]))
ORDER BY o.created_at LIMIT 500
""")


async def unstarted_orders(engine: AsyncEngine, brokers: Sequence[Broker], *, before: datetime) -> list[Unstarted]:
    """Orders still RECEIVED since `before`: their process may have died between the commit and the start."""
    async with engine.connect() as connection:
        rows = await connection.execute(_UNSTARTED, {"before": before, "brokers": list(brokers)})
        return [
            Unstarted(OrderId(r.order_id), Broker(r.broker), r.seq, r.correlation_id, _signal(r.signal)) for r in rows
        ]


def _signal(row: dict[str, Any]) -> Signal:
    known = {name: row[name] for name in Signal.model_fields}
    # JSON numbers of NUMERIC columns: through text, so that no float comes between.
    for name in ("price", "trigger_price"):
        if known[name] is not None:
            known[name] = str(known[name])
    return Signal.model_validate(known)


async def recorded_signal(engine: AsyncEngine, signal_id: SignalId) -> Signal | None:
    """The signal as accepted; None when there is none of that id."""
    async with engine.connect() as connection:
        found = await connection.execute(
            text("SELECT to_jsonb(s) AS signal FROM signals s WHERE signal_id = :id"), {"id": signal_id}
        )
        row = found.one_or_none()
    return None if row is None else _signal(row.signal)
