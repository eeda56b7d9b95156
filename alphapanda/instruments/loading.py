"""Loading a dump: read in a thread, judged against what is loaded, and put in its place in one transaction."""

import asyncio
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.instruments.acceptance import DumpRefused, Rules, Standing, objection
from alphapanda.instruments.dump import Dump, Progress, Report, no_progress, read_dump
from alphapanda.ledger.instrument_loads import (
    LOADED,
    REFUSED,
    CopyPayload,
    LoadRecord,
    load_named,
    loaded_by_exchange,
    merge,
    newest_dump,
    record_load,
)
from alphapanda.ledger.instruments import take_turn
from alphapanda.ledger.queries import ledger_errors

_log = structlog.get_logger(__name__)


async def load_dump(
    engine: AsyncEngine,
    data: bytes,
    *,
    as_of: date,
    source: str,
    origin: str,
    actor: str,
    now: datetime,
    rules: Rules | None = None,
    progress: Progress = no_progress,
) -> LoadRecord:
    """Load the bytes of a dump that describes `as_of`; returns what the history says of it.

    `source` is who made the dump (`zerodha`, `file`), `origin` where these bytes came from. Raises DumpUnreadable,
    DumpRefused (then the history has it, and the ledger's instruments are untouched) and LedgerUnavailable.
    """
    dump, payload = await asyncio.to_thread(_read, data, as_of, progress)
    facts = {
        "as_of": as_of, "source": source, "origin": origin, "digest": dump.digest, "actor": actor, "loaded_at": now,
        "exchanges": list(dump.by_exchange), "accepted": dump.accepted, "refused": dump.report.refused.total(),
        "skipped": dump.report.skipped.total(), "added": 0, "changed": 0, "withdrawn": 0,
        "report": report_json(dump.report),
    }  # fmt: skip
    with ledger_errors():
        async with engine.begin() as connection:
            await take_turn(connection)
            standing = Standing(
                await loaded_by_exchange(connection, as_of), await newest_dump(connection, list(dump.by_exchange))
            )
            why = objection(dump, standing, rules or Rules())
            outcome = LOADED if why is None else REFUSED
            load_id = await record_load(connection, **facts, outcome=outcome, detail=why or "")
            if why is None:
                progress("replace instruments", 0, None)
                await merge(connection, load_id, payload)
            record = await load_named(connection, load_id)
    if why is not None:
        _log.error("an instrument dump is refused", source=source, origin=origin, as_of=as_of.isoformat(), why=why)
        raise DumpRefused(f"the dump is refused: {why}")
    _log.info(
        "instruments loaded", source=source, as_of=as_of.isoformat(), accepted=record.accepted, refused=record.refused,
        added=record.added, changed=record.changed, withdrawn=record.withdrawn,
    )  # fmt: skip
    return record


def _read(data: bytes, as_of: date, progress: Progress) -> tuple[Dump, bytes]:
    payload = CopyPayload()
    dump = read_dump(data, as_of=as_of, take=payload.write, progress=progress)
    return dump, payload.data()


def report_json(report: Report) -> dict[str, Any]:
    """The report as the ledger and the API have it."""
    return {
        "refused": [
            {"rule": rule, "rows": count, "examples": [asdict(each) for each in report.examples[rule]]}
            for rule, count in report.refused.most_common()
        ],
        "skipped": dict(report.skipped.most_common()),
    }
