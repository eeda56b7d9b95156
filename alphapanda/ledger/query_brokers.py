"""A broker's session and switch as last decided."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.domain.ids import Broker
from alphapanda.ledger.models import BrokerStateRow
from alphapanda.ledger.queries import fetch

_states = BrokerStateRow.__table__


@dataclass(frozen=True, slots=True)
class BrokerStateRecord:
    broker: str
    session: str
    session_since: datetime
    switch: str
    switch_since: datetime
    switch_reason: str
    switch_actor: str


async def broker_states(engine: AsyncEngine, brokers: Sequence[Broker]) -> dict[str, BrokerStateRecord]:
    """By broker; one that nothing was ever decided about is absent."""
    statement = select(*(_states.c[field.name] for field in fields(BrokerStateRecord))).where(
        _states.c.broker.in_(brokers)
    )
    return {row.broker: BrokerStateRecord(**row._mapping) for row in await fetch(engine, statement)}
