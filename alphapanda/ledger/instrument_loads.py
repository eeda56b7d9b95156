"""A dump replaces the instruments of its exchanges in one transaction: readers see all of the old or all of the new.

Rows are copied into a table of the transaction's own and merged from there. What the dump no longer has is not
deleted but marked: fills in it go on being charged and shown by its terms, and nothing new is traded in it.
"""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any

from sqlalchemy import Select, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alphapanda.ledger.models import InstrumentLoadRow
from alphapanda.ledger.queries import fetch

LOADED = "LOADED"
REFUSED = "REFUSED"

COPIED = (
    "exchange", "tradingsymbol", "instrument_token", "instrument_type", "segment", "name", "tick_size", "lot_size",
    "expiry", "strike",
)  # fmt: skip
"""The columns of a row to copy, in this order."""

_loads = InstrumentLoadRow.__table__
_NAMES = ", ".join(COPIED)
_TERMS = ("instrument_token", "instrument_type", "tick_size", "lot_size", "expiry", "strike")

_STAGE = f"""
CREATE TEMPORARY TABLE staged_instruments ON COMMIT DROP AS SELECT {_NAMES} FROM instruments WITH NO DATA
"""

_COUNT = text(f"""
SELECT count(*) FILTER (WHERE held.exchange IS NULL) AS added,
    count(*) FILTER (WHERE held.exchange IS NOT NULL AND ({", ".join(f"held.{name}" for name in _TERMS)})
        IS DISTINCT FROM ({", ".join(f"staged.{name}" for name in _TERMS)})) AS changed
FROM staged_instruments staged LEFT JOIN instruments held USING (exchange, tradingsymbol)
""")

_MERGE = text(f"""
INSERT INTO instruments ({_NAMES}, as_of, source, load_id)
SELECT {_NAMES}, :as_of, :source, :load_id FROM staged_instruments
ON CONFLICT (exchange, tradingsymbol) DO UPDATE SET
    {", ".join(f"{name} = excluded.{name}" for name in COPIED[2:])},
    as_of = excluded.as_of, source = excluded.source, load_id = excluded.load_id,
    lower_circuit = NULL, upper_circuit = NULL, withdrawn_on = NULL
""")

_WITHDRAW = text("""
UPDATE instruments SET withdrawn_on = :as_of
WHERE exchange = ANY(:exchanges) AND load_id <> :load_id AND withdrawn_on IS NULL
""")

_WITH_FUTURES = text("""
SELECT DISTINCT name FROM instruments
WHERE exchange = 'NFO' AND instrument_type = 'FUT' AND load_id IS NOT NULL AND withdrawn_on IS NULL
""")
_WITH_DERIVATIVES = text("""
UPDATE instruments SET segment = 'NSE_EQ_FNO'
WHERE exchange = 'NSE' AND tradingsymbol = ANY(:names) AND instrument_type = 'EQ' AND segment = 'NSE_EQ'
""")
_WITHOUT = text("""
UPDATE instruments SET segment = 'NSE_EQ'
WHERE exchange = 'NSE' AND segment = 'NSE_EQ_FNO' AND tradingsymbol <> ALL(:names) AND load_id IS NOT NULL
""")
"""A share with derivatives keeps other hours than one without (the closing auction). The files of the two exchanges may
come one by one, so this is decided from all that is loaded."""

_STANDING = text("""
SELECT exchange, count(*) AS instruments FROM instruments
WHERE load_id IS NOT NULL AND withdrawn_on IS NULL AND (expiry IS NULL OR expiry >= :as_of) GROUP BY exchange
""")

_NEWEST = text("""
SELECT max(as_of) FROM instruments WHERE load_id IS NOT NULL AND withdrawn_on IS NULL AND exchange = ANY(:exchanges)
""")


@dataclass(frozen=True, slots=True)
class LoadRecord:
    """One row of the history; `report` as `Report` has it: refused by rule with examples, skipped by exchange."""

    id: int
    as_of: date
    source: str
    origin: str
    digest: str
    actor: str
    loaded_at: datetime
    outcome: str
    detail: str
    exchanges: list[str]
    accepted: int
    refused: int
    skipped: int
    added: int
    changed: int
    withdrawn: int
    report: dict[str, Any]


class CopyPayload:
    """Rows of `COPIED`, written one by one as COPY reads them; None is an empty field."""

    def __init__(self) -> None:
        self._out = io.StringIO()
        self.write: Callable[[Iterable[Any]], object] = csv.writer(self._out, lineterminator="\n").writerow

    def data(self) -> bytes:
        return self._out.getvalue().encode()


async def loaded_by_exchange(connection: AsyncConnection, as_of: date) -> dict[str, int]:
    """How many instruments of dumps can be traded on that date."""
    return {row.exchange: row.instruments for row in await connection.execute(_STANDING, {"as_of": as_of})}


async def newest_dump(connection: AsyncConnection, exchanges: Sequence[str]) -> date | None:
    """The date of the newest dump that instruments of these exchanges come from."""
    found: date | None = await connection.scalar(_NEWEST, {"exchanges": list(exchanges)})
    return found


async def record_load(connection: AsyncConnection, **load: Any) -> int:
    """Write a load's row; returns its id."""
    made = await connection.execute(insert(InstrumentLoadRow).values(**load).returning(_loads.c.id))
    number: int = made.scalar_one()
    return number


async def merge(connection: AsyncConnection, load_id: int, payload: bytes) -> None:
    """Put the copied rows in the place of what their exchanges had, and note in the load's row what came of it."""
    load = (await connection.execute(select(_loads).where(_loads.c.id == load_id))).one()
    await connection.execute(text(_STAGE))
    raw = await connection.get_raw_connection()
    assert raw.driver_connection is not None  # noqa: S101 - for the type checker
    await raw.driver_connection.copy_to_table(
        "staged_instruments", source=io.BytesIO(payload), columns=COPIED, format="csv", force_not_null=("name",)
    )
    await connection.execute(text("ANALYZE staged_instruments"))
    counted = (await connection.execute(_COUNT)).one()
    dump = {"as_of": load.as_of, "load_id": load_id}
    await connection.execute(_MERGE, dump | {"source": load.source})
    withdrawn = await connection.execute(_WITHDRAW, dump | {"exchanges": load.exchanges})
    names = {"names": list((await connection.execute(_WITH_FUTURES)).scalars())}
    await connection.execute(_WITH_DERIVATIVES, names)
    await connection.execute(_WITHOUT, names)
    await connection.execute(
        update(InstrumentLoadRow)
        .where(_loads.c.id == load_id)
        .values(added=counted.added, changed=counted.changed, withdrawn=withdrawn.rowcount)
    )


async def load_named(connection: AsyncConnection, load_id: int) -> LoadRecord:
    """What the history says of a load that was recorded."""
    return LoadRecord(**(await connection.execute(_history().where(_loads.c.id == load_id))).one()._mapping)


async def load_history(engine: AsyncEngine, *, limit: int) -> tuple[LoadRecord, ...]:
    """The newest loads first, also those that were refused."""
    rows = await fetch(engine, _history().order_by(_loads.c.id.desc()).limit(limit))
    return tuple(LoadRecord(**row._mapping) for row in rows)


async def newest_load(engine: AsyncEngine, source: str | None) -> LoadRecord | None:
    """The last dump of the source (None: of any) that was loaded."""
    statement = _history().where(_loads.c.outcome == LOADED)
    if source is not None:
        statement = statement.where(_loads.c.source == source)
    rows = await fetch(engine, statement.order_by(_loads.c.id.desc()).limit(1))
    return LoadRecord(**rows[0]._mapping) if rows else None


def _history() -> Select[Any]:
    return select(*(_loads.c[field.name] for field in fields(LoadRecord)))
