import csv
import gzip
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from alphapanda.domain.calendar import (
    IST,
    Calendar,
    CalendarUnknown,
    NaiveTimeError,
    Phase,
    Segment,
    trading_date,
)
from alphapanda.domain.errors import InvalidValueError
from alphapanda.domain.tables import TableError

CALENDAR = Calendar.packaged()
EQUITY = (Segment.NSE_EQ, Segment.NSE_EQ_FNO, Segment.NSE_FNO, Segment.BSE_EQ, Segment.BSE_FNO)
SHARED_DATA = Path(__file__).resolve().parents[3].parent / "shared" / "data"


def ist(text: str) -> datetime:
    """An Indian wall-clock time like 2026-08-03 09:15."""
    return datetime.fromisoformat(text).replace(tzinfo=IST)


def hours(segment: Segment, day: date) -> list[str]:
    """The day as readable Indian hours, e.g. `CONTINUOUS 09:15-15:30`."""
    return [
        f"{s.phase} {s.opens.astimezone(IST):%H:%M}-{s.closes.astimezone(IST):%H:%M}"
        for s in CALENDAR.sessions(segment, day)
    ]


# --- hours -----------------------------------------------------------------------------------------------------

LAST_OLD, FIRST_NEW = date(2026, 7, 31), date(2026, 8, 3)  # a Friday and the Monday of the closing auction


@pytest.mark.parametrize(
    ("segment", "day", "expected"),
    [
        (
            Segment.NSE_EQ_FNO,
            LAST_OLD,
            ["PRE_OPEN 09:00-09:15", "CONTINUOUS 09:15-15:30", "POST_CLOSE 15:40-16:00"],
        ),
        (
            Segment.NSE_EQ_FNO,
            FIRST_NEW,
            [
                "PRE_OPEN 09:00-09:15",
                "CONTINUOUS 09:15-15:15",
                "CLOSING_AUCTION 15:15-15:35",
                "POST_CLOSE 15:50-16:00",
            ],
        ),
        (
            Segment.NSE_EQ,
            FIRST_NEW,
            ["PRE_OPEN 09:00-09:15", "CONTINUOUS 09:15-15:30", "POST_CLOSE 15:50-16:00"],
        ),
        (Segment.NSE_FNO, LAST_OLD, ["CONTINUOUS 09:15-15:30"]),
        (Segment.NSE_FNO, FIRST_NEW, ["CONTINUOUS 09:15-15:40"]),
        (Segment.BSE_FNO, FIRST_NEW, ["CONTINUOUS 09:15-15:40"]),
        (Segment.CDS, FIRST_NEW, ["CONTINUOUS 09:00-17:00"]),
    ],
)
def test_hours_change_on_the_day_the_closing_auction_began(segment: Segment, day: date, expected: list[str]) -> None:
    assert hours(segment, day) == expected


def test_sessions_are_in_utc() -> None:
    [session] = CALENDAR.sessions(Segment.NSE_FNO, FIRST_NEW)
    assert session.opens == datetime(2026, 8, 3, 3, 45, tzinfo=UTC)
    assert session.opens.tzinfo is UTC


@pytest.mark.parametrize(
    ("day", "closes"),
    [
        (date(2026, 3, 6), "23:55"),  # the United States change on Sunday 8 March
        (date(2026, 3, 9), "23:30"),
        (date(2026, 10, 30), "23:30"),  # and back on Sunday 1 November
        (date(2026, 11, 2), "23:55"),
    ],
)
def test_the_commodity_evening_follows_american_daylight_saving(day: date, closes: str) -> None:
    assert hours(Segment.MCX, day) == [f"CONTINUOUS 09:00-{closes}"]


def test_a_phase_holds_from_its_first_instant_until_just_before_its_last() -> None:
    tick = timedelta(microseconds=1)
    opens, auction = ist("2026-08-03 09:15"), ist("2026-08-03 15:15")

    def phase(when: datetime) -> Phase | None:
        return CALENDAR.phase_at(Segment.NSE_EQ_FNO, when)

    assert phase(opens - tick) is Phase.PRE_OPEN
    assert phase(opens) is Phase.CONTINUOUS
    assert phase(auction - tick) is Phase.CONTINUOUS
    assert phase(auction) is Phase.CLOSING_AUCTION
    assert phase(ist("2026-08-03 15:35")) is None
    assert phase(ist("2026-08-03 16:00")) is None


def test_the_closing_auction_is_trading_but_not_open() -> None:
    auction = ist("2026-08-03 15:25")
    assert not CALENDAR.is_open(Segment.NSE_EQ_FNO, auction)
    assert CALENDAR.is_trading(Segment.NSE_EQ_FNO, auction)
    assert CALENDAR.is_open(Segment.NSE_EQ, auction)
    assert not CALENDAR.is_trading(Segment.NSE_EQ, ist("2026-08-03 15:55"))


def test_the_close_is_the_end_of_continuous_trading() -> None:
    assert CALENDAR.close_of(Segment.NSE_EQ_FNO, LAST_OLD) == ist("2026-07-31 15:30")
    assert CALENDAR.close_of(Segment.NSE_EQ_FNO, FIRST_NEW) == ist("2026-08-03 15:15")
    assert CALENDAR.close_of(Segment.NSE_EQ, date(2024, 3, 2)) == ist("2024-03-02 12:30")
    assert CALENDAR.close_of(Segment.NSE_EQ, date(2026, 8, 1)) is None  # a Saturday


# --- holidays and special days ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("year", "expected"),
    [
        (  # 1-Nov is Diwali: a holiday with an evening session
            2024,
            "22-Jan 26-Jan 8-Mar 25-Mar 29-Mar 11-Apr 17-Apr 1-May 20-May 17-Jun 17-Jul 15-Aug 2-Oct "
            "15-Nov 20-Nov 25-Dec",
        ),
        (  # 21-Oct is Diwali
            2025,
            "26-Feb 14-Mar 31-Mar 10-Apr 14-Apr 18-Apr 1-May 15-Aug 27-Aug 2-Oct 22-Oct 5-Nov 25-Dec",
        ),
        (
            2026,
            "15-Jan 26-Jan 3-Mar 26-Mar 31-Mar 3-Apr 14-Apr 1-May 28-May 26-Jun 14-Sep 2-Oct 20-Oct "
            "10-Nov 24-Nov 25-Dec",
        ),
    ],
)
@pytest.mark.parametrize("segment", EQUITY)
def test_the_weekdays_without_trading_are_the_exchanges_holidays(segment: Segment, year: int, expected: str) -> None:
    days = (date(year, 1, 1) + timedelta(days=n) for n in range(366))
    weekdays = (day for day in days if day.year == year and day.weekday() < 5)
    closed = [day for day in weekdays if not CALENDAR.is_trading_day(segment, day)]
    assert " ".join(f"{day:%-d-%b}" for day in closed) == expected


def test_weekends_trade_only_on_special_days() -> None:
    first, days = date(2024, 1, 1), (date(2026, 12, 31) - date(2024, 1, 1)).days + 1
    weekends = [day for day in (first + timedelta(days=n) for n in range(days)) if day.weekday() >= 5]
    assert [day.isoformat() for day in weekends if CALENDAR.is_trading_day(Segment.NSE_EQ, day)] == [
        "2024-01-20",
        "2024-03-02",
        "2024-05-18",
        "2025-02-01",
        "2026-02-01",
        "2026-11-08",
    ]


@pytest.mark.parametrize("segment", EQUITY)
def test_a_budget_on_a_sunday_has_regular_hours(segment: Segment) -> None:
    budget, monday = date(2026, 2, 1), date(2026, 2, 2)
    assert hours(segment, budget) == hours(segment, monday) != []


@pytest.mark.parametrize("segment", EQUITY)
@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2024, 11, 1), ["CONTINUOUS 18:00-19:00"]),
        (date(2025, 10, 21), ["CONTINUOUS 13:45-14:45"]),
        (date(2026, 11, 8), ["CONTINUOUS 18:00-19:00"]),
        (date(2024, 3, 2), ["CONTINUOUS 09:15-10:00", "CONTINUOUS 11:30-12:30"]),
        (date(2024, 5, 18), ["CONTINUOUS 09:15-10:00", "CONTINUOUS 11:45-12:40"]),
    ],
)
def test_special_days_have_their_own_hours(segment: Segment, day: date, expected: list[str]) -> None:
    assert [phase for phase in hours(segment, day) if phase.startswith("CONTINUOUS")] == expected


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2026, 1, 1), ["CONTINUOUS 09:00-17:00"]),  # New Year: morning only
        (date(2026, 2, 1), ["CONTINUOUS 09:00-17:00"]),  # budget Sunday: morning only
        (date(2026, 1, 15), ["CONTINUOUS 17:00-23:55"]),  # evening only, American winter
        (date(2026, 6, 26), ["CONTINUOUS 17:00-23:30"]),  # evening only, American summer
        (date(2026, 1, 26), []),
        (date(2026, 12, 25), []),
    ],
)
def test_commodities_can_trade_half_a_day(day: date, expected: list[str]) -> None:
    assert hours(Segment.MCX, day) == expected


def test_currencies_keep_bank_holidays_that_equities_do_not() -> None:
    bank_closing = date(2026, 4, 1)
    assert not CALENDAR.is_trading_day(Segment.CDS, bank_closing)
    assert CALENDAR.is_trading_day(Segment.NSE_EQ, bank_closing)


# --- the next open ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("2026-08-03 08:00", "2026-08-03 09:15"),
        ("2026-08-03 09:14:59", "2026-08-03 09:15"),
        ("2026-08-03 09:15", "2026-08-04 09:15"),  # strictly later: it is open already
        ("2026-08-03 15:20", "2026-08-04 09:15"),
        ("2026-08-07 16:00", "2026-08-10 09:15"),  # a weekend
        ("2026-11-06 16:00", "2026-11-08 18:00"),  # Diwali: muhurat on the Sunday
        ("2026-11-08 19:00", "2026-11-09 09:15"),
        ("2026-11-09 16:00", "2026-11-11 09:15"),  # Balipratipada
        ("2024-03-02 10:00", "2024-03-02 11:30"),  # two sessions in a day
    ],
)
def test_the_next_open_skips_nights_weekends_and_holidays(after: str, expected: str) -> None:
    assert CALENDAR.next_open(Segment.NSE_EQ_FNO, ist(after)) == ist(expected)


def test_the_next_open_beyond_the_tables_is_refused() -> None:
    with pytest.raises(CalendarUnknown, match="not 2027-01-01"):
        CALENDAR.next_open(Segment.NSE_EQ, ist("2026-12-31 15:30"))


# --- refusals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("segment", "day"),
    [
        (Segment.NSE_EQ, date(2023, 12, 29)),
        (Segment.NSE_EQ, date(2027, 1, 1)),
        (Segment.NSE_EQ, date(2027, 1, 2)),  # a Saturday: still not known
        (Segment.MCX, date(2025, 12, 31)),
        (Segment.CDS, date(2027, 1, 1)),
    ],
)
def test_a_date_beyond_the_tables_is_refused_with_what_to_do(segment: Segment, day: date) -> None:
    with pytest.raises(CalendarUnknown, match=f"the calendar of {segment} knows .* not {day}") as refusal:
        CALENDAR.is_trading_day(segment, day)
    assert refusal.value.code == "CALENDAR_UNKNOWN_DATE"
    assert "ALPHAPANDA_MARKET__CALENDAR_FILE" in refusal.value.next_action


def test_a_time_without_a_zone_is_refused_everywhere() -> None:
    naive = ist("2026-08-03 10:00").replace(tzinfo=None)
    for ask in (CALENDAR.phase_at, CALENDAR.is_open, CALENDAR.is_trading, CALENDAR.next_open):
        with pytest.raises(NaiveTimeError, match="has no timezone") as refusal:
            ask(Segment.NSE_EQ, naive)
        assert refusal.value.code == "TIME_NAIVE"
    with pytest.raises(NaiveTimeError):
        trading_date(naive)


def test_a_time_where_a_date_is_meant_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="pass a date"):
        CALENDAR.sessions(Segment.NSE_EQ, ist("2026-08-03 10:00"))


def test_the_trading_date_is_the_indian_one() -> None:
    assert trading_date(datetime(2026, 8, 3, 18, 29, tzinfo=UTC)) == date(2026, 8, 3)
    assert trading_date(datetime(2026, 8, 3, 18, 30, tzinfo=UTC)) == date(2026, 8, 4)


# --- a file of one's own ---------------------------------------------------------------------------------------

OWN_FILE = """
[segments.NSE_EQ]
known_from = 2027-01-01
known_until = 2027-12-31
holidays = "EQUITY"
[[segments.NSE_EQ.hours]]
from = 2027-01-01
sessions = [{ phase = "CONTINUOUS", opens = 09:00:00, closes = 17:00:00 }]
[holidays.EQUITY]
2027-01-26 = "Republic Day"
[[special]]
reason = "A short Saturday"
dates = [2027-02-06]
segments = ["NSE_EQ"]
closes_at = 12:00:00
"""


def own_calendar(tmp_path: Path, text: str) -> Calendar:
    path = tmp_path / "calendar-2027.toml"
    path.write_text(text)
    return Calendar.from_file(path)


def test_a_file_replaces_the_packaged_calendar(tmp_path: Path) -> None:
    own = own_calendar(tmp_path, OWN_FILE)
    assert own.next_open(Segment.NSE_EQ, ist("2027-01-25 17:00")) == ist("2027-01-27 09:00")
    assert own.close_of(Segment.NSE_EQ, date(2027, 2, 6)) == ist("2027-02-06 12:00")
    with pytest.raises(CalendarUnknown, match="not 2026-08-03"):
        own.sessions(Segment.NSE_EQ, FIRST_NEW)
    with pytest.raises(CalendarUnknown, match="no table for segment MCX"):
        own.sessions(Segment.MCX, date(2027, 1, 4))


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("known_until = 2027-12-31\n", "", "segments.NSE_EQ: 'known_until' is missing"),
        ("known_from = 2027-01-01", 'known_from = "2027"', "'known_from' must be a date"),
        ("from = 2027-01-01\nsessions", "from = 2027-01-02\nsessions", "first not after known_from"),
        ('"CONTINUOUS"', '"LUNCH"', "'LUNCH' is no Phase"),
        ("[segments.NSE_EQ]", "[segments.NYSE]", "'NYSE' is no Segment"),
        ("opens = 09:00:00", "opens = 18:00:00", "opens before closes"),
        ("opens = 09:00:00", "opens = 9", "'opens' must be a time"),
        ('2027-01-26 = "Republic Day"', '26-01-2027 = "Republic Day"', "'26-01-2027' must be a date"),
        ("[2027-02-06]", "[2028-02-06]", "2028-02-06 is outside the known dates of NSE_EQ"),
        ("[2027-02-06]", "[2027-02-06, 2027-02-06]", "2027-02-06 is given twice"),
        ('segments = ["NSE_EQ"]', 'segments = ["MCX"]', "segment MCX has no [segments.MCX]"),
        ("closes_at", "close_at", "unknown key 'close_at'"),
        ("[holidays.EQUITY]", "[holidays.CASH]", "holidays: 'EQUITY' is missing"),
    ],
)
def test_a_bad_file_is_refused_naming_the_file_and_the_key(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    assert old in OWN_FILE
    with pytest.raises(TableError) as refusal:
        own_calendar(tmp_path, OWN_FILE.replace(old, new))
    assert complaint in str(refusal.value)
    assert "calendar-2027.toml" in str(refusal.value)


# --- laws ------------------------------------------------------------------------------------------------------

segments = st.sampled_from(list(Segment))
known_days = st.integers(0, 364).map(lambda n: date(2026, 1, 1) + timedelta(days=n))
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(segments, known_days)
def test_the_phases_of_a_day_follow_one_another_within_that_day(segment: Segment, day: date) -> None:
    sessions = CALENDAR.sessions(segment, day)
    edges = [edge for session in sessions for edge in (session.opens, session.closes)]
    assert edges == sorted(edges)
    assert all(session.opens < session.closes for session in sessions)
    assert all(trading_date(edge) == day for edge in edges)


@given(segments, known_days, st.integers(0, 24 * 3600 - 1), offsets)
def test_the_answer_depends_on_the_instant_not_on_the_zone_it_is_written_in(
    segment: Segment, day: date, second: int, zone: timezone
) -> None:
    when = datetime.combine(day, time(0), IST) + timedelta(seconds=second)
    phase = CALENDAR.phase_at(segment, when)
    assert CALENDAR.phase_at(segment, when.astimezone(zone)) is phase
    running = [s.phase for s in CALENDAR.sessions(segment, day) if s.opens <= when < s.closes]
    assert running == ([phase] if phase else [])


@given(segments, known_days, st.integers(0, 24 * 3600 - 1))
def test_the_next_open_is_the_first_change_to_open(segment: Segment, day: date, second: int) -> None:
    assume(day < date(2026, 12, 28))
    after = datetime.combine(day, time(0), IST) + timedelta(seconds=second)
    opens = CALENDAR.next_open(segment, after)
    assert opens > after
    assert CALENDAR.is_open(segment, opens)
    # nothing opens between: every continuous session that began earlier began at or before `after`
    between = [day + timedelta(days=n) for n in range((trading_date(opens) - day).days + 1)]
    starts = [s.opens for d in between for s in CALENDAR.sessions(segment, d) if s.phase is Phase.CONTINUOUS]
    assert not [start for start in starts if after < start < opens]


# --- recorded markets ------------------------------------------------------------------------------------------


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="recorded market data is not on this machine")
def test_recorded_minutes_fall_in_open_hours_and_on_every_trading_day() -> None:
    seen: set[str] = set()
    for file in sorted((SHARED_DATA / "minute").glob("*.csv.gz")):
        with gzip.open(file, "rt") as text:
            seen.update(row["timestamp"] for row in csv.DictReader(text))
    minutes = sorted(datetime.fromisoformat(text) for text in seen)
    closed = [minute for minute in minutes if not CALENDAR.is_open(Segment.NSE_EQ_FNO, minute)]
    assert closed == []

    recorded = {trading_date(minute) for minute in minutes}
    span = (max(recorded) - min(recorded)).days + 1
    days = [min(recorded) + timedelta(days=n) for n in range(span)]
    assert recorded == {day for day in days if CALENDAR.is_trading_day(Segment.NSE_EQ_FNO, day)}


@pytest.mark.skipif(not SHARED_DATA.is_dir(), reason="recorded market data is not on this machine")
def test_recorded_ticks_fall_in_open_hours() -> None:
    for file in sorted((SHARED_DATA / "ticks").glob("*.csv.gz")):
        with gzip.open(file, "rt") as text:
            ticks = [ist(row["timestamp"]) for row in csv.DictReader(text)]
        assert ticks
        assert all(CALENDAR.is_open(Segment.NSE_FNO, tick) for tick in ticks), file.name
