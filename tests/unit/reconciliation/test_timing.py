"""When reconciliation runs again."""

from datetime import UTC, datetime, timedelta

import pytest

from alphapanda.domain.calendar import Calendar
from alphapanda.reconciliation.timing import CLOSED, CONFIRM, OPEN, pause

CALENDAR = Calendar.packaged()


def india(day: int, clock: str, *, year: int = 2026) -> datetime:
    at = datetime.fromisoformat(f"{year}-11-{day:02}T{clock}+05:30")
    return at.astimezone(UTC)


@pytest.mark.parametrize("clock", ["09:00", "12:00", "15:29", "15:45", "22:00"])
def test_by_the_minute_while_some_market_is_open(clock: str) -> None:
    assert pause(india(19, clock), CALENDAR, pending=False) == OPEN


@pytest.mark.parametrize("at", [india(19, "03:00"), india(22, "12:00")], ids=["night", "sunday"])
def test_every_ten_minutes_while_all_are_closed(at: datetime) -> None:
    assert pause(at, CALENDAR, pending=False) == CLOSED


def test_a_run_is_due_a_quarter_of_an_hour_after_the_day_s_last_close() -> None:
    closes = india(19, "23:55")
    assert pause(closes + timedelta(minutes=12), CALENDAR, pending=False) == timedelta(minutes=3)
    assert pause(closes + timedelta(minutes=2), CALENDAR, pending=False) == CLOSED


def test_by_the_minute_in_a_rehearsal_and_where_the_calendar_ends() -> None:
    assert pause(india(22, "12:00"), None, pending=False) == OPEN
    assert pause(india(22, "12:00", year=2199), CALENDAR, pending=False) == OPEN


def test_something_seen_for_the_first_time_is_looked_at_again_soon() -> None:
    assert pause(india(22, "12:00"), CALENDAR, pending=True) == CONFIRM
