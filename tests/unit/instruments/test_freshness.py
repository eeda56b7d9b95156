"""Which day a dump is of, and when it is too old for today's session."""

import gzip
import os
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from alphapanda.domain.calendar import Calendar
from alphapanda.instruments.dump import DumpUnreadable
from alphapanda.instruments.files import date_of_file, read_file
from alphapanda.instruments.freshness import dump_day, freshness, session_of
from tests.dumps import FUTURE, SHARE, csv_of

CALENDAR = Calendar.packaged()


def ist(day: int, hour: int, minute: int = 0) -> datetime:
    """November 2026: the 20th is a Friday, Tuesday the 24th a holiday."""
    return datetime.fromisoformat(f"2026-11-{day:02}T{hour:02}:{minute:02}+05:30").astimezone(UTC)


@pytest.mark.parametrize(
    ("now", "of_day", "session"),
    [
        (ist(20, 7, 59), 19, 19),
        (ist(20, 8), 20, 20),
        (ist(21, 12), 21, 20),
        (ist(23, 7), 22, 20),
        (ist(23, 9), 23, 23),
        (ist(24, 12), 24, 23),
        (ist(25, 0), 24, 23),
    ],
)
def test_a_dump_is_of_the_day_from_eight_in_the_morning(now: datetime, of_day: int, session: int) -> None:
    assert dump_day(now) == date(2026, 11, of_day)
    assert session_of(now, CALENDAR) == date(2026, 11, session)


def test_days_the_calendar_does_not_know_count_as_sessions() -> None:
    beyond = datetime(2035, 6, 5, 6, 0, tzinfo=UTC)
    assert session_of(beyond, CALENDAR) == date(2035, 6, 5)


@pytest.mark.parametrize(
    ("as_of", "limit", "current", "says"),
    [
        (None, 4, False, "no instrument dump was ever loaded"),
        (date(2026, 11, 20), 4, True, "the dump of 2026-11-20"),
        (date(2026, 11, 19), 4, False, "older than the session of 2026-11-20"),
        (date(2026, 11, 15), None, False, "older than the session of 2026-11-20"),
        (date(2026, 11, 15), 4, False, "6 days old: no entry is made"),
    ],
)
def test_an_older_dump_is_told_with_what_to_do(as_of: date | None, limit: int | None, current: bool, says: str) -> None:
    found = freshness(as_of, ist(21, 12), CALENDAR, max_age_days=limit)
    assert (found.current, found.next_action is None) == (current, current)
    assert says in found.detail


@pytest.mark.parametrize("packed", [True, False])
def test_a_file_is_of_the_day_it_was_written_or_of_its_first_expiry(tmp_path: Path, packed: bool) -> None:
    file = tmp_path / "whatever its name is"
    data = csv_of(SHARE, FUTURE)
    file.write_bytes(gzip.compress(data) if packed else data)
    assert read_file(file) == data
    for written, expected in ((ist(20, 3), date(2026, 11, 20)), (ist(30, 3), date(2026, 11, 24))):
        os.utime(file, (written.timestamp(), written.timestamp()))
        assert date_of_file(file, data) == expected


def test_a_file_that_swells_beyond_any_dump_is_refused_without_filling_the_memory(tmp_path: Path) -> None:
    file = tmp_path / "bomb.gz"
    with gzip.open(file, "wb", compresslevel=1) as out:
        for _ in range(101):
            out.write(bytes(1_000_000))
    with pytest.raises(DumpUnreadable, match="more than 100 MB"):
        read_file(file)
