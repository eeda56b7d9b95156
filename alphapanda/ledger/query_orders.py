"""Orders and their events as the ledger has them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.domain.ids import Broker, OrderId
from alphapanda.domain.money import average_price
from alphapanda.domain.states import OrderState
from alphapanda.ledger.models import OrderEventRow, OrderRow
from alphapanda.ledger.queries import Page, fetch

_orders = OrderRow.__table__
_events = OrderEventRow.__table__


@dataclass(frozen=True, slots=True)
class OrderRecord:
    order_id: str
    signal_id: str
    broker: str
    strategy_id: str
    workflow_id: str
    correlation_id: str
    exchange: str
    tradingsymbol: str
    side: str
    quantity: int
    order_type: str
    product: str
    price: Decimal | None
    trigger_price: Decimal | None
    validity: str
    validity_minutes: int | None
    variety: str
    iceberg_legs: int | None
    state: str
    reason_code: str
    reason: str
    filled_quantity: int
    turnover: Decimal
    tag: str | None
    broker_order_id: str | None
    cancel_requested: bool
    modify_requested: bool
    created_at: datetime
    updated_at: datetime
    closed_at: datetime | None

    @property
    def average_price(self) -> Decimal | None:
        return average_price(self.turnover, self.filled_quantity)


@dataclass(frozen=True, slots=True)
class OrderDetail(OrderRecord):
    """One order with the evidence of its doubts, which lists leave out for its size."""

    evidence: dict[str, Any] | None


class OrderKey(NamedTuple):
    created_at: datetime
    order_id: str


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """`brokers` is what the caller may see; everything else narrows it further. Empty `states` means any."""

    brokers: Sequence[Broker]
    states: Sequence[OrderState] = ()
    strategy_id: str | None = None
    tradingsymbol: str | None = None


_columns = tuple(_orders.c[field.name] for field in fields(OrderRecord))


async def list_orders(
    engine: AsyncEngine, where: OrderFilter, *, after: OrderKey | None, limit: int
) -> Page[OrderRecord, OrderKey]:
    """Newest first, from behind `after`."""
    statement = select(*_columns).where(_orders.c.broker.in_(where.brokers))
    if where.states:
        statement = statement.where(_orders.c.state.in_(where.states))
    if where.strategy_id is not None:
        statement = statement.where(_orders.c.strategy_id == where.strategy_id)
    if where.tradingsymbol is not None:
        statement = statement.where(_orders.c.tradingsymbol == where.tradingsymbol)
    key = (_orders.c.created_at, _orders.c.order_id)
    if after is not None:
        statement = statement.where(tuple_(*key) < tuple_(*after))
    rows = await fetch(engine, statement.order_by(key[0].desc(), key[1].desc()).limit(limit + 1))
    items = tuple(OrderRecord(**row._mapping) for row in rows[:limit])
    more = len(rows) > limit
    return Page(items, OrderKey(items[-1].created_at, items[-1].order_id) if more else None)


async def get_order(engine: AsyncEngine, order_id: OrderId) -> OrderDetail | None:
    rows = await fetch(engine, select(*_columns, _orders.c.evidence).where(_orders.c.order_id == order_id))
    return OrderDetail(**rows[0]._mapping) if rows else None


@dataclass(frozen=True, slots=True)
class OrderEventRecord:
    order_id: str
    seq: int
    broker: str
    at: datetime
    from_state: str | None
    to_state: str
    reason_code: str
    reason: str
    actor: str
    correlation_id: str


class EventKey(NamedTuple):
    seq: int


async def list_order_events(
    engine: AsyncEngine, order_id: OrderId, *, after: EventKey | None, limit: int
) -> Page[OrderEventRecord, EventKey]:
    """Oldest first: the order's story as it happened."""
    statement = select(*(_events.c[field.name] for field in fields(OrderEventRecord))).where(
        _events.c.order_id == order_id
    )
    if after is not None:
        statement = statement.where(_events.c.seq > after.seq)
    rows = await fetch(engine, statement.order_by(_events.c.seq).limit(limit + 1))
    items = tuple(OrderEventRecord(**row._mapping) for row in rows[:limit])
    return Page(items, EventKey(items[-1].seq) if len(rows) > limit else None)
