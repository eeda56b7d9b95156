"""When the next run is due."""

from contextlib import suppress
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
    return min([CLOSED, *(ends - now for ends in _ends_of_days(calendar, now) if ends > now)])


def _is_open(calendar: Calendar, now: datetime) -> bool:
    try:
        return any(calendar.phase_at(segment, now) is not None for segment in Segment)
    except CalendarUnknown:
        return True


def _ends_of_days(calendar: Calendar, now: datetime) -> list[datetime]:
    """Of today, and of yesterday, whose end may lie after midnight."""
    today = trading_date(now)
    found = []
    for day in (today - timedelta(days=1), today):
        with suppress(CalendarUnknown):
            closes = [session.closes for segment in Segment for session in calendar.sessions(segment, day)]
            found += [max(closes) + AFTER_CLOSE] if closes else []
    return found
