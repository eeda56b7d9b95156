"""When each segment trades: dated tables by segment, and a refusal for every date they do not cover.

Tables come from `tables/calendar.toml` or a file of the same layout. A date beyond them raises `CalendarUnknown`:
a calendar that guesses "no holiday" sends orders into a closed market. Times in and out are timezone-aware; sessions
are UTC and half open, `opens <= t < closes`, so no instant belongs to two phases.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from alphapanda.domain import tables
from alphapanda.domain.errors import AlphaPandaError, InvalidValueError
from alphapanda.domain.tables import Row, TableError

# A fixed offset: India has had no daylight saving since 1945, and the host's zone data need not know Asia/Kolkata.
IST = timezone(timedelta(hours=5, minutes=30), "IST")
_ONE_DAY = timedelta(days=1)
_E = TypeVar("_E", bound=StrEnum)


class CalendarUnknown(AlphaPandaError):  # noqa: N818 - it is an answer ("not known"), not a malfunction
    """The tables say nothing about this segment on this date."""

    code = "CALENDAR_UNKNOWN_DATE"
    default_next_action = (
        "Supply a newer table by ALPHAPANDA_MARKET__CALENDAR_FILE (layout: alphapanda/domain/tables/calendar.toml)."
    )


class NaiveTimeError(InvalidValueError):
    """A time without a zone: on a host outside India it would be wrong by hours, so it is refused."""

    code = "TIME_NAIVE"
    default_next_action = "Attach a timezone where the time enters (UTC, or IST for what an exchange sent)."


class Segment(StrEnum):
    NSE_EQ = "NSE_EQ"  # cash stocks without derivatives
    NSE_EQ_FNO = "NSE_EQ_FNO"  # cash stocks with derivatives: closing auction since 2026-08-03
    NSE_FNO = "NSE_FNO"
    BSE_EQ = "BSE_EQ"
    BSE_FNO = "BSE_FNO"
    CDS = "CDS"
    MCX = "MCX"  # non-agricultural contracts


class Phase(StrEnum):
    PRE_OPEN = "PRE_OPEN"
    CONTINUOUS = "CONTINUOUS"
    CLOSING_AUCTION = "CLOSING_AUCTION"
    POST_CLOSE = "POST_CLOSE"


@dataclass(frozen=True, slots=True)
class Session:
    """One phase of one day: aware UTC, `opens` included, `closes` excluded."""

    phase: Phase
    opens: datetime
    closes: datetime


class Calendar:
    """Answers about sessions. Immutable in effect; computed days are kept, since every order asks for its own."""

    def __init__(self, segments: "dict[Segment, _SegmentTable]") -> None:
        self._segments = segments
        self._days: dict[tuple[Segment, date], tuple[Session, ...]] = {}

    @staticmethod
    def packaged() -> "Calendar":
        """The calendar shipped with this version; parsed once per process."""
        return _packaged()

    @classmethod
    def from_file(cls, path: str | Path) -> "Calendar":
        """A calendar read from `path`, replacing the packaged one whole. Raises `TableError` naming the bad key."""
        return cls(_parse(tables.from_file(path)))

    def sessions(self, segment: Segment, day: date) -> tuple[Session, ...]:
        """The phases of `day` (an Indian date) in order; empty on a day without trading.

        Raises `CalendarUnknown` outside the segment's known dates.
        """
        found = self._days.get((segment, day))
        if found is None:
            if isinstance(day, datetime):
                raise InvalidValueError(f"day: pass a date, not the time {day}; trading_date() converts it")
            table = self._segments.get(segment)
            if table is None:
                raise CalendarUnknown(f"the calendar has no table for segment {segment}")
            found = self._days[segment, day] = table.sessions_on(segment, day)
        return found

    def is_trading_day(self, segment: Segment, day: date) -> bool:
        return bool(self.sessions(segment, day))

    def phase_at(self, segment: Segment, when: datetime) -> Phase | None:
        """The phase running at `when`; None between phases, at night and on days without trading."""
        for session in self.sessions(segment, trading_date(when)):
            if session.opens <= when < session.closes:
                return session.phase
        return None

    def is_open(self, segment: Segment, when: datetime) -> bool:
        """Whether continuous trading runs: the only phase that matches every order type at once."""
        return self.phase_at(segment, when) is Phase.CONTINUOUS

    def is_trading(self, segment: Segment, when: datetime) -> bool:
        """Continuous trading or the closing auction (which takes no SL and no IOC order)."""
        return self.phase_at(segment, when) in (Phase.CONTINUOUS, Phase.CLOSING_AUCTION)

    def next_open(self, segment: Segment, after: datetime) -> datetime:
        """The first start of continuous trading strictly later than `after`, in UTC.

        Raises `CalendarUnknown` when the tables end before one is found.
        """
        day = trading_date(after)
        while True:
            for session in self.sessions(segment, day):
                if session.phase is Phase.CONTINUOUS and session.opens > after:
                    return session.opens
            day += _ONE_DAY

    def close_of(self, segment: Segment, day: date) -> datetime | None:
        """The end of the day's last continuous trading in UTC (the start of any closing auction); None: no trading."""
        closes = [s.closes for s in self.sessions(segment, day) if s.phase is Phase.CONTINUOUS]
        return closes[-1] if closes else None


@cache
def _packaged() -> Calendar:
    return Calendar(_parse(tables.packaged("calendar.toml")))


def trading_date(when: datetime) -> date:
    """The Indian date at `when`. Raises `NaiveTimeError` for a time without a zone."""
    if when.utcoffset() is None:
        raise NaiveTimeError(f"time {when.isoformat()} has no timezone")
    return when.astimezone(IST).date()


@dataclass(frozen=True, slots=True)
class _Hours:
    """One phase in Indian wall-clock time, before it has a date."""

    phase: Phase
    opens: time
    closes: time
    closes_us_dst: time | None

    def on(self, day: date, opens_at: time | None, closes_at: time | None) -> Session | None:
        """This phase on `day`, cut to the given bounds; None when nothing of it is left."""
        closes = self.closes_us_dst if self.closes_us_dst and _us_daylight_saving(day) else self.closes
        opens = max(self.opens, opens_at) if opens_at else self.opens
        closes = min(closes, closes_at) if closes_at else closes
        return Session(self.phase, _utc(day, opens), _utc(day, closes)) if opens < closes else None


@dataclass(frozen=True, slots=True)
class _SpecialDay:
    """A day unlike its neighbours: its own hours, or (`hours` None) the regular ones cut to bounds."""

    hours: tuple[_Hours, ...] | None
    opens_at: time | None
    closes_at: time | None


@dataclass(frozen=True, slots=True)
class _SegmentTable:
    known_from: date
    known_until: date
    holidays: frozenset[date]
    hours: tuple[tuple[date, tuple[_Hours, ...]], ...]  # by first day, ascending; the first covers known_from
    special: dict[date, _SpecialDay]

    def sessions_on(self, segment: Segment, day: date) -> tuple[Session, ...]:
        if not self.known_from <= day <= self.known_until:
            raise CalendarUnknown(f"the calendar of {segment} knows {self.known_from} to {self.known_until}, not {day}")
        special = self.special.get(day)
        if special is None:
            if day.weekday() >= 5 or day in self.holidays:
                return ()
            special = _SpecialDay(None, None, None)
        hours = special.hours or next(hours for first, hours in reversed(self.hours) if first <= day)
        found = (phase.on(day, special.opens_at, special.closes_at) for phase in hours)
        return tuple(session for session in found if session is not None)


def _utc(day: date, wall_clock: time) -> datetime:
    return datetime.combine(day, wall_clock, IST).astimezone(UTC)


def _us_daylight_saving(day: date) -> bool:
    """Whether New York observes daylight saving in the Indian evening of `day` (18:00 UTC, 13:00 or 14:00 there)."""
    try:
        new_york = ZoneInfo("America/New_York")
    except ZoneInfoNotFoundError as error:
        raise CalendarUnknown(
            "this machine has no timezone data for America/New_York, which the evening close follows",
            next_action="Install the system's tzdata package, or tzdata from the Python package index.",
        ) from error
    return bool(datetime.combine(day, time(18), UTC).astimezone(new_york).dst())


def _parse(root: Row) -> dict[Segment, _SegmentTable]:
    root.only("segments", "holidays", "special")
    segments = root.row("segments")
    parsed = {_member(Segment, name, segments): _parse_segment(segments.row(name), root) for name in segments.names}
    for entry in root.rows("special") if "special" in root else ():
        _add_special(entry, parsed)
    return parsed


def _parse_segment(row: Row, root: Row) -> _SegmentTable:
    row.only("known_from", "known_until", "holidays", "hours")
    hours = []
    for entry in row.rows("hours"):
        entry.only("from", "sessions")
        hours.append((entry.day("from"), _parse_hours(entry)))
    starts = [first for first, _ in hours]
    if starts != sorted(set(starts)) or starts[0] > row.day("known_from"):
        raise TableError(f"{row.where}.hours: 'from' must ascend, the first not after known_from")
    holidays = root.row("holidays").row(row.text("holidays"))
    days = frozenset(_iso_date(key, holidays) for key in holidays.names)
    return _SegmentTable(row.day("known_from"), row.day("known_until"), days, tuple(hours), {})


def _parse_hours(row: Row) -> tuple[_Hours, ...]:
    hours = []
    ended = time.min
    for entry in row.rows("sessions"):
        entry.only("phase", "opens", "closes", "closes_us_dst")
        phase = _member(Phase, entry.text("phase"), entry)
        found = _Hours(phase, entry.clock("opens"), entry.clock("closes"), entry.optional_clock("closes_us_dst"))
        if not ended <= found.opens < min(found.closes, found.closes_us_dst or found.closes):
            raise TableError(f"{entry.where}: sessions must follow one another, each with opens before closes")
        ended = max(found.closes, found.closes_us_dst or found.closes)
        hours.append(found)
    return tuple(hours)


def _add_special(row: Row, parsed: dict[Segment, _SegmentTable]) -> None:
    row.only("reason", "dates", "segments", "sessions", "opens_at", "closes_at")
    row.text("reason")  # required for the reader of the file; nothing computes with it
    hours = _parse_hours(row) if "sessions" in row else None
    special = _SpecialDay(hours, row.optional_clock("opens_at"), row.optional_clock("closes_at"))
    for name in row.texts("segments"):
        table = parsed.get(_member(Segment, name, row))
        if table is None:
            raise TableError(f"{row.where}: segment {name} has no [segments.{name}]")
        for day in row.days("dates"):
            if day in table.special:
                raise TableError(f"{row.where}: {day} is given twice for {name}")
            if not table.known_from <= day <= table.known_until:
                raise TableError(f"{row.where}: {day} is outside the known dates of {name}")
            table.special[day] = special


def _iso_date(key: str, row: Row) -> date:
    try:
        return date.fromisoformat(key)
    except ValueError as error:
        raise TableError(f"{row.where}: {key!r} must be a date like 2026-01-26") from error


def _member(kind: type[_E], name: str, row: Row) -> _E:
    try:
        return kind(name)
    except ValueError as error:
        known = ", ".join(member.value for member in kind)
        raise TableError(f"{row.where}: {name!r} is no {kind.__name__}; known are {known}") from error
