"""Retrying: a FAILED order becomes RECEIVED again, once, by a person's word."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.domain.ids import OrderId
from alphapanda.domain.reasons import ReasonCode, reason

_RECEIVE_AGAIN = text("""
WITH again AS (
    UPDATE orders SET state = 'RECEIVED', reason_code = :code, reason = :reason, seq = seq + 1, updated_at = :now,
        closed_at = NULL
    WHERE order_id = :order_id AND state = 'FAILED' AND filled_quantity = 0
    RETURNING order_id, seq, broker, correlation_id
), event AS (
    INSERT INTO order_events (order_id, seq, broker, at, from_state, to_state, reason_code, reason, actor,
        correlation_id)
    SELECT order_id, seq, broker, :now, 'FAILED', 'RECEIVED', :code, :reason, :actor, correlation_id FROM again
)
SELECT seq, correlation_id FROM again
""")


@dataclass(frozen=True, slots=True)
class ReceivedAgain:
    seq: int
    correlation_id: str


async def receive_again(engine: AsyncEngine, order_id: OrderId, *, actor: str, now: datetime) -> ReceivedAgain | None:
    """The order's new event number; None when it is not FAILED (or does not exist)."""
    why = reason(ReasonCode.PERSON_RETRIED, by=actor)
    async with engine.begin() as connection:
        found = await connection.execute(
            _RECEIVE_AGAIN,
            {"order_id": order_id, "actor": actor, "now": now, "code": str(why.code), "reason": str(why)},
        )
        row = found.one_or_none()
    return None if row is None else ReceivedAgain(row.seq, row.correlation_id)
