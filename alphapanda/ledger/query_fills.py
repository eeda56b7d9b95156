"""Fills as booked."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.domain.ids import Broker
from alphapanda.ledger.models import FillRow
from alphapanda.ledger.queries import Page, fetch

_fills = FillRow.__table__


@dataclass(frozen=True, slots=True)
class FillRecord:
    """`charges` is in rupees, None where no dated table of charges covers the trade; `order_id` is None for one that
    nobody here ordered."""

    broker: str
    trade_id: str
    order_id: str | None
    broker_order_id: str
    strategy_id: str
    exchange: str
    tradingsymbol: str
    product: str
    side: str
    quantity: int
    price: Decimal
    charges: Decimal | None
    charge_items: dict[str, Any] | None
    traded_at: datetime
    booked_at: datetime


class FillKey(NamedTuple):
    traded_at: datetime
    broker: str
    trade_id: str


@dataclass(frozen=True, slots=True)
class FillFilter:
    brokers: Sequence[Broker]
    order_id: str | None = None
    strategy_id: str | None = None
    tradingsymbol: str | None = None


async def list_fills(
    engine: AsyncEngine, where: FillFilter, *, after: FillKey | None, limit: int
) -> Page[FillRecord, FillKey]:
    """Newest trade first, from behind `after`."""
    statement = select(*(_fills.c[field.name] for field in fields(FillRecord))).where(
        _fills.c.broker.in_(where.brokers)
    )
    for column in ("order_id", "strategy_id", "tradingsymbol"):
        wanted = getattr(where, column)
        if wanted is not None:
            statement = statement.where(_fills.c[column] == wanted)
    key = (_fills.c.traded_at, _fills.c.broker, _fills.c.trade_id)
    if after is not None:
        statement = statement.where(tuple_(*key) < tuple_(*after))
    rows = await fetch(engine, statement.order_by(*(column.desc() for column in key)).limit(limit + 1))
    items = tuple(FillRecord(**row._mapping) for row in rows[:limit])
    last = items[-1] if items else None
    more = last is not None and len(rows) > limit
    return Page(items, FillKey(last.traded_at, last.broker, last.trade_id) if more and last is not None else None)


async def fills_since(engine: AsyncEngine, strategies: Sequence[str], since: datetime) -> tuple[FillRecord, ...]:
    """The strategies' trades from `since` on, oldest first. Raises LedgerUnavailable."""
    statement = select(*(_fills.c[field.name] for field in fields(FillRecord))).where(
        _fills.c.traded_at >= since, _fills.c.strategy_id.in_(strategies)
    )
    rows = await fetch(engine, statement.order_by(_fills.c.traded_at, _fills.c.broker, _fills.c.trade_id))
    return tuple(FillRecord(**row._mapping) for row in rows)
