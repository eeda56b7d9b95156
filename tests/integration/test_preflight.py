"""The preflight says in time that a login is needed, by a call to the broker and never by the clock."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from alphapanda.brokers.paper.rehearsal import expire_session
from alphapanda.domain.calendar import IST, Calendar
from alphapanda.domain.vocabulary import SessionState
from tests.rehearsal import PAPER, PATIENCE_S, Rehearsal
from workers.preflight import Preflight

CALENDAR = Calendar.packaged()
EIGHT_THIRTY = datetime(2026, 11, 20, 8, 30, tzinfo=IST).astimezone(UTC)
NINE = EIGHT_THIRTY + timedelta(minutes=30)


async def events(desk: Rehearsal) -> list[Any]:
    async with desk.engine.connect() as connection:
        return list((await connection.execute(text("SELECT * FROM broker_events WHERE kind = 'preflight'"))).all())


@pytest.mark.parametrize(("due", "level"), [(EIGHT_THIRTY, "warning"), (NINE, "error")])
async def test_a_needed_login_is_said_with_what_to_do_and_kept_on_record(
    rehearsal: Rehearsal, due: datetime, level: str
) -> None:
    await rehearsal.broker.session()
    await expire_session(rehearsal.engine, PAPER)
    with capture_logs() as logs:
        found = await Preflight(PAPER, rehearsal.engine, calendar=CALENDAR).check(rehearsal.broker, due, CALENDAR)
    assert found is SessionState.EXPIRED
    (said,) = [line for line in logs if line["event"].startswith("preflight")]
    assert said["log_level"] == level
    assert "by 09:00 IST" in said["event"]
    assert "alphapanda login --broker paper" in said["next_action"]
    (event,) = await events(rehearsal)
    assert (event.to_state, event.broker) == ("EXPIRED", "paper")


async def test_who_is_logged_in_hears_nothing(rehearsal: Rehearsal) -> None:
    await rehearsal.broker.open_session("token")
    preflight = Preflight(PAPER, rehearsal.engine, calendar=CALENDAR)
    assert await preflight.check(rehearsal.broker, NINE, CALENDAR) is SessionState.ACTIVE
    assert await events(rehearsal) == []


async def test_it_checks_when_the_moment_has_come_and_stops_when_told(rehearsal: Rehearsal) -> None:
    await rehearsal.broker.session()
    await expire_session(rehearsal.engine, PAPER)
    moments = iter([EIGHT_THIRTY - timedelta(minutes=1)])
    preflight = Preflight(PAPER, rehearsal.engine, calendar=CALENDAR, now=lambda: next(moments, EIGHT_THIRTY))
    stop = asyncio.Event()
    keeping = asyncio.create_task(preflight.keep(rehearsal.broker, stop))
    async with asyncio.timeout(PATIENCE_S):
        while not await events(rehearsal):
            await asyncio.sleep(0.02)
        stop.set()
        await keeping
    assert len(await events(rehearsal)) == 1


async def test_a_rehearsal_has_no_preflight(rehearsal: Rehearsal) -> None:
    async with asyncio.timeout(PATIENCE_S):
        await Preflight(PAPER, rehearsal.engine, calendar=None).keep(rehearsal.broker, asyncio.Event())
