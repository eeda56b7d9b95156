"""Orders as reconciliation needs them: found by tag, with their progress.

An order that was replaced at the broker has had several tags, which share their stem: it is found by each of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.domain.ids import TAG_LENGTH, Broker, OrderId, Tag, WorkflowId, tag_stem
from alphapanda.domain.states import OrderState
from alphapanda.domain.tracking import Progress


@dataclass(frozen=True, slots=True)
class TrackedOrder:
    order_id: OrderId
    broker: Broker
    workflow_id: WorkflowId
    correlation_id: str
    seq: int
    state: OrderState
    quantity: int
    filled_quantity: int
    turnover: Decimal
    order_type: str
    validity: str
    price: Decimal | None
    trigger_price: Decimal | None
    tag: Tag
    """Of its present order at the broker."""

    def progress(self, trade_ids: frozenset[str]) -> Progress:
        return Progress(self.state, self.quantity, self.filled_quantity, self.turnover, trade_ids)


_BY_TAG = text("""
SELECT o.tag, order_id, broker, workflow_id, correlation_id, seq, state, quantity, filled_quantity, turnover,
    order_type, validity, price, trigger_price
FROM unnest(CAST(:stems AS text[])) AS asked (stem)
JOIN orders o ON o.broker = :broker AND o.tag BETWEEN asked.stem || '00' AND asked.stem || 'ZZ'
""")


async def orders_by_tag(engine: AsyncEngine, broker: Broker, tags: Sequence[str]) -> dict[str, TrackedOrder]:
    """The orders that carry the tags, or did before they were replaced, by the tag asked for; others are left out."""
    stems = {tag_stem(Tag(tag)) for tag in tags if len(tag) == TAG_LENGTH}
    async with engine.connect() as connection:
        rows = await connection.execute(_BY_TAG, {"broker": broker, "stems": list(stems)})
        found = {tag_stem(row.tag): _order(row._asdict()) for row in rows}
    return {tag: found[stem] for tag in tags if len(tag) == TAG_LENGTH and (stem := tag_stem(Tag(tag))) in found}


def _order(row: dict[str, object]) -> TrackedOrder:
    state = OrderState(str(row.pop("state")))
    return TrackedOrder(state=state, **row)  # type: ignore[arg-type]  # the columns are the fields


async def booked_trade_ids(engine: AsyncEngine, order_id: OrderId) -> frozenset[str]:
    async with engine.connect() as connection:
        rows = await connection.execute(text("SELECT trade_id FROM fills WHERE order_id = :id"), {"id": order_id})
        return frozenset(rows.scalars())


async def order_state(engine: AsyncEngine, order_id: OrderId) -> OrderState | None:
    """The order's state as recorded; None when there is no such order."""
    async with engine.connect() as connection:
        found = await connection.execute(text("SELECT state FROM orders WHERE order_id = :id"), {"id": order_id})
        state = found.scalar_one_or_none()
    return None if state is None else OrderState(state)
