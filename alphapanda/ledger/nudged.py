"""Whose workflow an update of the broker is about."""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.domain.ids import Broker, WorkflowId
from alphapanda.ledger.queries import ledger_errors
from alphapanda.ledger.tracked import orders_by_tag

_BY_BROKER_ID = text("SELECT workflow_id FROM orders WHERE broker = :broker AND broker_order_id = :broker_order_id")


async def workflows_of(
    engine: AsyncEngine, broker: Broker, *, broker_order_id: str, tags: Sequence[str]
) -> set[WorkflowId]:
    """By a tag; by the broker's own id too, which is all that an order placed by hand has. Raises LedgerUnavailable."""
    with ledger_errors():
        found = {order.workflow_id for order in (await orders_by_tag(engine, broker, tags)).values()}
        async with engine.connect() as connection:
            rows = await connection.execute(_BY_BROKER_ID, {"broker": broker, "broker_order_id": broker_order_id})
            return found | {WorkflowId(workflow_id) for workflow_id in rows.scalars()}
