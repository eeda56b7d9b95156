"""When the session is checked, and by when a login is needed: by the packaged calendar."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapanda.domain.calendar import IST, Calendar
from alphapanda.sessions.preflight import CHECKS, is_last_call, login_needed_by, next_check

CALENDAR = Calendar.packaged()


def ist(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=IST)


@pytest.mark.parametrize(
    ("after", "check"),
    [
        ("2026-11-20T03:00", "2026-11-20T06:05"),
        ("2026-11-20T06:05", "2026-11-20T08:30"),
        ("2026-11-20T08:30", "2026-11-20T09:00"),
        ("2026-11-20T09:00", "2026-11-23T06:05"),  # Friday, then the weekend
        ("2026-11-20T15:00", "2026-11-23T06:05"),
        ("2026-12-24T12:00", "2026-12-28T06:05"),  # Christmas on a Friday
        ("2026-01-31T12:00", "2026-02-01T06:05"),  # the budget's Sunday
    ],
)
def test_the_session_is_checked_after_it_should_have_died_and_before_the_open(after: str, check: str) -> None:
    assert next_check(ist(after).astimezone(UTC), CALENDAR) == ist(check)


@given(st.integers(0, 14 * 365 * 24 * 60 * 60))
def test_there_is_always_a_next_check_within_days_and_at_the_hours_named(seconds: int) -> None:
    after = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    found = next_check(after, CALENDAR)
    assert after < found <= after + timedelta(days=6)
    assert found.astimezone(IST).time() in CHECKS


def test_only_the_check_right_before_the_open_is_the_last_call() -> None:
    assert [is_last_call(datetime.combine(ist("2026-11-20").date(), at, IST)) for at in CHECKS] == [False, False, True]


@pytest.mark.parametrize(
    ("now", "by"),
    [
        ("2026-11-20T06:05", "2026-11-20T09:00"),  # commodities open first
        ("2026-11-20T10:00", "2026-11-20T09:00"),  # it is late already
        ("2026-11-21T10:00", "2026-11-23T09:00"),
    ],
)
def test_a_login_is_needed_by_the_open(now: str, by: str) -> None:
    assert login_needed_by(CALENDAR, ist(now)) == ist(by)


def test_no_open_is_named_where_every_hour_is_open_or_none_is_known() -> None:
    assert login_needed_by(None, ist("2026-11-20T06:05")) is None
    assert login_needed_by(CALENDAR, ist("2060-11-20T06:05")) is None
