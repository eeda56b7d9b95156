"""Instruments in the ledger: saved from a source, found by exchange and symbol, cached per process."""

import time
from collections.abc import Iterable
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Row, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alphapanda.domain.instrument import Instrument, InstrumentType
from alphapanda.domain.money import Price
from alphapanda.domain.vocabulary import Exchange
from alphapanda.ledger.models import InstrumentRow

_table = InstrumentRow.__table__
_LOCK_KEY = 0x696E7374  # "inst": who writes instruments takes turns, or two writers could wait for each other's rows


async def take_turn(connection: AsyncConnection) -> None:
    """The first statement of a transaction that writes instruments; readers are not held up."""
    await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})


async def save_instruments(
    connection: AsyncConnection, instruments: Iterable[Instrument], *, source: str, as_of: date, replace: bool = True
) -> int:
    """Insert or replace by (exchange, tradingsymbol); returns how many were given. The caller owns the transaction.

    `replace=False` leaves rows that exist as they are: what a simulator makes up must not displace a real dump.
    """
    await take_turn(connection)
    rows = [
        {
            "exchange": item.exchange,
            "tradingsymbol": item.tradingsymbol,
            "instrument_token": item.instrument_token,
            "instrument_type": item.instrument_type,
            "segment": item.segment,
            "name": item.name,
            "tick_size": item.tick_size,
            "lot_size": item.lot_size,
            "expiry": item.expiry,
            "strike": item.strike,
            "lower_circuit": item.lower_circuit,
            "upper_circuit": item.upper_circuit,
            "as_of": as_of,
            "source": source,
            "load_id": None,
            "withdrawn_on": None,
        }
        for item in instruments
    ]
    if rows:
        statement = insert(InstrumentRow)
        keys = ("exchange", "tradingsymbol")
        if replace:
            replaced = {name: statement.excluded[name] for name in rows[0] if name not in keys}
            statement = statement.on_conflict_do_update(index_elements=keys, set_=replaced)
        else:
            statement = statement.on_conflict_do_nothing(index_elements=keys)
        await connection.execute(statement, rows)
    return len(rows)


async def find_instrument(engine: AsyncEngine, exchange: str, tradingsymbol: str) -> Instrument | None:
    async with engine.connect() as connection:
        found = await connection.execute(
            select(_table).where(_table.c.exchange == exchange, _table.c.tradingsymbol == tradingsymbol)
        )
        row = found.one_or_none()
    return None if row is None else _instrument(row)


async def instruments_by_symbol(
    engine: AsyncEngine, exchange: str, tradingsymbols: Iterable[str]
) -> tuple[Instrument, ...]:
    """Those of `tradingsymbols` that are loaded for the exchange."""
    return await _select(engine, _table.c.exchange == exchange, _table.c.tradingsymbol.in_(list(tradingsymbols)))


async def instruments_by_token(engine: AsyncEngine, tokens: Iterable[int]) -> tuple[Instrument, ...]:
    """Those instruments whose token is among `tokens`."""
    return await _select(engine, _table.c.instrument_token.in_(list(tokens)))


async def _select(engine: AsyncEngine, *conditions: ColumnElement[bool]) -> tuple[Instrument, ...]:
    async with engine.connect() as connection:
        found = await connection.execute(select(_table).where(*conditions))
        return tuple(_instrument(row) for row in found)


def _instrument(row: Row[Any]) -> Instrument:
    return Instrument(
        exchange=Exchange(row.exchange),
        tradingsymbol=row.tradingsymbol,
        instrument_token=row.instrument_token,
        instrument_type=InstrumentType(row.instrument_type),
        segment=row.segment,
        tick_size=row.tick_size,
        lot_size=row.lot_size,
        name=row.name,
        expiry=row.expiry,
        strike=row.strike,
        lower_circuit=None if row.lower_circuit is None else Price(row.lower_circuit),
        upper_circuit=None if row.upper_circuit is None else Price(row.upper_circuit),
        dump_date=None if row.load_id is None else row.as_of,
        withdrawn_on=row.withdrawn_on,
    )


class InstrumentCache:
    """Instruments looked up once a minute at most; an unknown one is asked for again every time."""

    def __init__(self, engine: AsyncEngine, *, ttl_s: float = 60.0) -> None:
        self._engine = engine
        self._ttl_s = ttl_s
        self._known: dict[tuple[str, str], tuple[float, Instrument]] = {}

    async def get(self, exchange: str, tradingsymbol: str) -> Instrument | None:
        key = (exchange, tradingsymbol)
        cached = self._known.get(key)
        if cached is not None and time.monotonic() - cached[0] < self._ttl_s:
            return cached[1]
        found = await find_instrument(self._engine, exchange, tradingsymbol)
        if found is not None:
            self._known[key] = (time.monotonic(), found)
        return found
