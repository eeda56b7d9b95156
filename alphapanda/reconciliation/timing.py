"""When the next run is due."""

from datetime import datetime, timedelta

from alphapanda.domain.calendar import Calendar, CalendarUnknown, Segment, trading_date

GRACE = timedelta(seconds=10)
"""How long a difference must stand: workflows book within a second or two, brokers' lists agree within a few."""

CONFIRM = timedelta(seconds=15)
"""Until the second look at something that was seen for the first time."""

OPEN = timedelta(seconds=60)
CLOSED = timedelta(minutes=10)
AFTER_CLOSE = timedelta(minutes=15)
"""From the day's last close to the run that ends it: brokers square off and settle what is left until then."""


def pause(now: datetime, calendar: Calendar | None, *, pending: bool) -> timedelta:
    """From a run that ended at `now` to the next. `calendar` None: every hour is open. Where its tables end, too."""
    if pending:
        return CONFIRM
    if calendar is None or _is_open(calendar, now):
        return OPEN
    ends = _end_of_day(calendar, now)
    return min(CLOSED, ends - now) if ends is not None and ends > now else CLOSED


def _is_open(calendar: Calendar, now: datetime) -> bool:
    try:
        return any(calendar.phase_at(segment, now) is not None for segment in Segment)
    except CalendarUnknown:
        return True


def _end_of_day(calendar: Calendar, now: datetime) -> datetime | None:
    closes = [session.closes for segment in Segment for session in calendar.sessions(segment, trading_date(now))]
    return max(closes) + AFTER_CLOSE if closes else None
