"""Instruments found by what a person types."""

from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.ledger.models import InstrumentRow
from alphapanda.ledger.queries import Page, fetch

_instruments = InstrumentRow.__table__


@dataclass(frozen=True, slots=True)
class InstrumentRecord:
    exchange: str
    tradingsymbol: str
    instrument_token: int
    instrument_type: str
    segment: str
    name: str
    tick_size: Decimal
    lot_size: int
    expiry: date | None
    strike: Decimal | None
    lower_circuit: Decimal | None
    upper_circuit: Decimal | None
    as_of: date
    source: str


class InstrumentKey(NamedTuple):
    tradingsymbol: str
    exchange: str


async def search_instruments(
    engine: AsyncEngine, query: str, *, exchange: str | None, after: InstrumentKey | None, limit: int
) -> Page[InstrumentRecord, InstrumentKey]:
    """Those whose symbol or name contains `query`, in any case, ordered by symbol."""
    c = _instruments.c
    statement = select(*(c[field.name] for field in fields(InstrumentRecord)))
    if query:
        statement = statement.where(
            or_(c.tradingsymbol.icontains(query, autoescape=True), c.name.icontains(query, autoescape=True))
        )
    if exchange is not None:
        statement = statement.where(c.exchange == exchange)
    if after is not None:
        statement = statement.where(tuple_(c.tradingsymbol, c.exchange) > tuple_(*after))
    rows = await fetch(engine, statement.order_by(c.tradingsymbol, c.exchange).limit(limit + 1))
    items = tuple(InstrumentRecord(**row._mapping) for row in rows[:limit])
    more = len(rows) > limit
    return Page(items, InstrumentKey(items[-1].tradingsymbol, items[-1].exchange) if more else None)
