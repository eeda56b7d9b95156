"""Drift: differences that stand, one row each from when it was found until it was gone.

The same difference is the same row, whose `seen_at` moves. One that was gone and comes back is a new row.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, time
from typing import Any, NamedTuple

import orjson
from sqlalchemy import select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.domain.calendar import IST, trading_date
from alphapanda.domain.ids import Broker
from alphapanda.ledger.models import DriftRow
from alphapanda.ledger.queries import Page, fetch, ledger_errors
from alphapanda.reconciliation.outcome import OF_THE_DAY, DriftKind, Finding, Outcome

_drift = DriftRow.__table__

_OPEN = text("SELECT id, kind, key, seen_at FROM drift WHERE broker = :broker AND cleared_at IS NULL FOR UPDATE")

# `xmax` is 0 in a row that was just inserted: so the one who found it first is the one who tells.
_SEEN = text("""
INSERT INTO drift (broker, kind, key, detail, evidence, found_at, seen_at)
VALUES (:broker, :kind, :key, :detail, CAST(:evidence AS jsonb), :now, :now)
ON CONFLICT (broker, kind, key) WHERE cleared_at IS NULL
DO UPDATE SET detail = excluded.detail, evidence = excluded.evidence, seen_at = excluded.seen_at
RETURNING xmax = 0 AS is_new
""")

_CLEARED = text("UPDATE drift SET cleared_at = :now WHERE id = ANY(CAST(:ids AS bigint[])) AND cleared_at IS NULL")


@dataclass(frozen=True, slots=True)
class Noted:
    """What a run changed in the table: differences that are new, and how many are gone."""

    new: tuple[Finding, ...]
    cleared: int


async def note_drift(
    engine: AsyncEngine, broker: Broker, standing: Sequence[Finding], outcome: Outcome, *, now: datetime
) -> Noted:
    """Write down what stands, and clear what this run judged and did not find. Raises LedgerUnavailable.

    `standing` are those of the outcome's findings that count. A difference of the day that was last seen on an
    earlier one can no longer be checked, so it is not cleared.
    """
    found = {(finding.kind, finding.key) for finding in outcome.findings}
    midnight = datetime.combine(trading_date(now), time.min, IST)
    with ledger_errors():
        async with engine.begin() as connection:
            gone = [
                row.id
                for row in await connection.execute(_OPEN, {"broker": broker})
                if _is_gone(DriftKind(row.kind), row.key, found, outcome)
                and (row.kind not in OF_THE_DAY or row.seen_at >= midnight)
            ]
            if gone:
                await connection.execute(_CLEARED, {"ids": gone, "now": now})
            new = [finding for finding in standing if await _is_new(connection, broker, finding, now)]
    return Noted(tuple(new), len(gone))


def _is_gone(kind: DriftKind, key: str, found: set[tuple[DriftKind, str]], outcome: Outcome) -> bool:
    return (kind, key) not in found and outcome.has_judged(kind, key)


async def _is_new(connection: Any, broker: Broker, finding: Finding, now: datetime) -> bool:
    values = {
        "broker": broker,
        "kind": finding.kind,
        "key": finding.key,
        "detail": finding.detail,
        "evidence": orjson.dumps(dict(finding.evidence)).decode(),
        "now": now,
    }
    return bool((await connection.execute(_SEEN, values)).scalar_one())


@dataclass(frozen=True, slots=True)
class DriftRecord:
    id: int
    broker: str
    kind: str
    key: str
    detail: str
    evidence: dict[str, Any]
    found_at: datetime
    seen_at: datetime
    cleared_at: datetime | None

    @property
    def meaning(self) -> str:
        return DriftKind(self.kind).meaning


class DriftKey(NamedTuple):
    found_at: datetime
    id: int


async def list_drift(
    engine: AsyncEngine, broker: Broker, *, open_only: bool, after: DriftKey | None, limit: int
) -> Page[DriftRecord, DriftKey]:
    """Newest first, from behind `after`."""
    key = (_drift.c.found_at, _drift.c.id)
    statement = select(*(_drift.c[field.name] for field in fields(DriftRecord))).where(_drift.c.broker == broker)
    if open_only:
        statement = statement.where(_drift.c.cleared_at.is_(None))
    if after is not None:
        statement = statement.where(tuple_(*key) < tuple_(*after))
    rows = await fetch(engine, statement.order_by(*(column.desc() for column in key)).limit(limit + 1))
    items = tuple(DriftRecord(**row._mapping) for row in rows[:limit])
    more = len(rows) > limit
    return Page(items, DriftKey(items[-1].found_at, items[-1].id) if more else None)
