"""Instruments found by what a person types."""

from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, and_, case, func, literal, or_, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.ledger.instrument_loads import LOADED
from alphapanda.ledger.models import InstrumentLoadRow, InstrumentRow
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
    load_id: int | None
    withdrawn_on: date | None


@dataclass(frozen=True, slots=True)
class InstrumentSearch:
    """`query`: words, each of which stands somewhere in symbol or name, in any case. None of the rest: any.

    `withdrawn`: also what has left its broker's dump.
    """

    query: str = ""
    exchange: str | None = None
    instrument_type: str | None = None
    expiry: date | None = None
    strike: Decimal | None = None
    withdrawn: bool = False


class InstrumentKey(NamedTuple):
    rank: int
    tradingsymbol: str
    exchange: str


async def search_instruments(
    engine: AsyncEngine, search: InstrumentSearch, *, after: InstrumentKey | None, limit: int
) -> Page[InstrumentRecord, InstrumentKey]:
    """The best first: the symbol itself, then symbols that begin with the query, then the others, each by symbol."""
    c, rank = _instruments.c, _rank(search.query).label("rank")
    statement = select(*(c[field.name] for field in fields(InstrumentRecord)), rank).where(*_conditions(search))
    if after is not None:
        statement = statement.where(tuple_(rank, c.tradingsymbol, c.exchange) > tuple_(*after))
    rows = await fetch(engine, statement.order_by(rank, c.tradingsymbol, c.exchange).limit(limit + 1))
    items = tuple(InstrumentRecord(**{f.name: row._mapping[f.name] for f in fields(InstrumentRecord)}) for row in rows)
    if len(rows) <= limit:
        return Page(items, None)
    last = rows[limit - 1]
    return Page(items[:limit], InstrumentKey(last.rank, last.tradingsymbol, last.exchange))


def _conditions(search: InstrumentSearch) -> list[ColumnElement[bool]]:
    c = _instruments.c
    conditions: list[ColumnElement[bool]] = [
        or_(c.tradingsymbol.icontains(word, autoescape=True), c.name.icontains(word, autoescape=True))
        for word in search.query.split()
    ]
    asked: dict[str, Any] = {
        "exchange": search.exchange,
        "instrument_type": search.instrument_type,
        "expiry": search.expiry,
        "strike": search.strike,
    }
    conditions += [c[name] == value for name, value in asked.items() if value is not None]
    if not search.withdrawn:
        conditions.append(c.withdrawn_on.is_(None))
    return conditions


def _rank(query: str) -> ColumnElement[int]:
    symbol, wanted = func.upper(_instruments.c.tradingsymbol), query.strip().upper()
    if not wanted:
        return literal(0)
    return case((symbol == wanted, 0), (symbol.startswith(wanted, autoescape=True), 1), else_=2)


@dataclass(frozen=True, slots=True)
class ExchangeSummary:
    """What can be traded on an exchange. `as_of` is the newest dump's date, None where none described any of it."""

    exchange: str
    instruments: int
    withdrawn: int
    as_of: date | None


async def instruments_by_exchange(engine: AsyncEngine) -> tuple[ExchangeSummary, ...]:
    c = _instruments.c
    statement = select(
        c.exchange,
        func.count().filter(c.withdrawn_on.is_(None)).label("instruments"),
        func.count().filter(c.withdrawn_on.is_not(None)).label("withdrawn"),
        func.max(c.as_of).filter(and_(c.load_id.is_not(None), c.withdrawn_on.is_(None))).label("as_of"),
    ).group_by(c.exchange)
    rows = await fetch(engine, statement.order_by(c.exchange))
    return tuple(ExchangeSummary(row.exchange, row.instruments, row.withdrawn, row.as_of) for row in rows)


async def oldest_dump(engine: AsyncEngine) -> date | None:
    """The oldest of the exchanges' newest dumps; None where none was loaded. Asked by every readiness probe."""
    loaded = InstrumentLoadRow.__table__.c
    of_exchanges = select(func.unnest(loaded.exchanges).label("exchange"), loaded.id).where(loaded.outcome == LOADED)
    by_load = of_exchanges.subquery().c
    # The last load counts, not the newest date: a person may have gone back to an older dump.
    last = select(func.max(by_load.id)).group_by(by_load.exchange)
    rows = await fetch(engine, select(func.min(loaded.as_of)).where(loaded.id.in_(last)))
    found: date | None = rows[0][0]
    return found
