"""When to look whether a broker needs a login, and by when: pure functions of the calendar.

A token dies at about six in the morning IST, on no clock that one could rely on. So the session is asked, by a call:
once it should have died, and twice before the open, while a person still has time to log in.
"""

from datetime import date, datetime, time, timedelta

from alphapanda.domain.calendar import IST, Calendar, CalendarUnknown, Phase, Segment, trading_date

CHECKS = (time(6, 5), time(8, 30), time(9, 0))
"""IST, on trading days."""

_ONE_DAY = timedelta(days=1)


def next_check(after: datetime, calendar: Calendar) -> datetime:
    """The first check later than `after`, in UTC of a day on which any segment trades.

    A day beyond the calendar's knowledge counts as a trading day, unless it is on a weekend.
    """
    day = trading_date(after)
    while True:
        for at in CHECKS if _trades_on(day, calendar) else ():
            moment = datetime.combine(day, at, IST).astimezone(after.tzinfo)
            if moment > after:
                return moment
        day += _ONE_DAY


def is_last_call(at: datetime) -> bool:
    """Whether the check at this moment is the day's last before the open."""
    return at.astimezone(IST).time() >= CHECKS[-1]


def login_needed_by(calendar: Calendar | None, now: datetime) -> datetime | None:
    """The open that a login is needed for: today's where something trades now (it has passed), else the next one.

    None: every hour counts as open, or the calendar does not know.
    """
    if calendar is None:
        return None
    opens = [found for segment in Segment if (found := _open_of(segment, calendar, now)) is not None]
    return min(opens, default=None)


def _open_of(segment: Segment, calendar: Calendar, now: datetime) -> datetime | None:
    try:
        if calendar.is_trading(segment, now):
            today = calendar.sessions(segment, trading_date(now))
            return next(each.opens for each in today if each.phase is Phase.CONTINUOUS)
        return calendar.next_open(segment, now)
    except CalendarUnknown:
        return None


def _trades_on(day: date, calendar: Calendar) -> bool:
    known = False
    for segment in Segment:
        try:
            if calendar.is_trading_day(segment, day):
                return True
            known = True
        except CalendarUnknown:
            continue
    return not known and day.weekday() < 5
