"""Whether the loaded dump is of today's session, and what to do where it is not."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from alphapanda.domain.calendar import IST, Calendar, CalendarUnknown, Segment, trading_date

PUBLISHED_AT = time(8, 0)
"""Indian time by which brokers have renewed their dump for the day."""

_MOST_DAYS_CLOSED = 15


@dataclass(frozen=True, slots=True)
class Freshness:
    """`detail` says how it stands; `next_action` is None where all is well."""

    current: bool
    detail: str
    next_action: str | None


def dump_day(now: datetime) -> date:
    """The day that a dump fetched from a broker at `now` is of: before it is renewed, still the day before."""
    local = now.astimezone(IST)
    return local.date() if local.time() >= PUBLISHED_AT else local.date() - timedelta(days=1)


def session_of(now: datetime, calendar: Calendar) -> date:
    """The newest session whose dump should be there by now: today's from eight in the morning on trading days.

    Where the calendar does not know the days, every day counts as one: a warning too many, and none too few.
    """
    day = dump_day(now)
    for _ in range(_MOST_DAYS_CLOSED):
        try:
            if calendar.is_trading_day(Segment.NSE_EQ, day):
                return day
        except CalendarUnknown:
            return dump_day(now)
        day -= timedelta(days=1)
    return dump_day(now)


def freshness(as_of: date | None, now: datetime, calendar: Calendar, *, max_age_days: int | None) -> Freshness:
    """How the newest dump stands at `now`; `max_age_days` as for entries (None: they are not held back)."""
    load = "Load today's: `alphapanda instruments load --broker zerodha`, or a file of it."
    if as_of is None:
        return Freshness(False, "no instrument dump was ever loaded", load)
    age = (trading_date(now) - as_of).days
    if max_age_days is not None and age > max_age_days:
        return Freshness(False, f"the dump of {as_of} is {age} days old: no entry is made at a real broker", load)
    session = session_of(now, calendar)
    if as_of < session:
        return Freshness(False, f"the dump of {as_of} is older than the session of {session}", load)
    return Freshness(True, f"the dump of {as_of}", None)
