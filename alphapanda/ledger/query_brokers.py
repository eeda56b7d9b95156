"""A broker's session and switch as last decided, and how many of its orders a person has to decide."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.domain.ids import Broker
from alphapanda.domain.states import OrderState
from alphapanda.ledger.models import BrokerStateRow, OrderRow
from alphapanda.ledger.queries import fetch

_states = BrokerStateRow.__table__
_orders = OrderRow.__table__
_UNDECIDED = (OrderState.PARKED, OrderState.AWAITING_APPROVAL)


@dataclass(frozen=True, slots=True)
class BrokerStateRecord:
    """`needs_person` counts the orders that are PARKED or AWAITING_APPROVAL."""

    broker: str
    session: str
    session_since: datetime
    switch: str
    switch_since: datetime
    switch_reason: str
    switch_actor: str
    needs_person: int


async def broker_states(engine: AsyncEngine, brokers: Sequence[Broker]) -> dict[str, BrokerStateRecord]:
    """By broker; one that nothing was ever decided about is absent."""
    undecided = (
        select(func.count())
        .where(_orders.c.broker == _states.c.broker, _orders.c.state.in_(_UNDECIDED))
        .scalar_subquery()
    )
    statement = select(*_states.c, undecided.label("needs_person")).where(_states.c.broker.in_(brokers))
    return {row.broker: BrokerStateRecord(**row._mapping) for row in await fetch(engine, statement)}
