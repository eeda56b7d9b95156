"""What one process may call while it cannot ask Redis: its share of the account, by its own clock.

Nobody knows how many others are cut off too, so a process takes a quarter: four may call one account this way and
stay within its limits together. What cannot be divided (one quote a second) is made rarer instead: four processes
then keep the limit on average, though two may coincide.

What was granted through Redis just before the cut still counts at the broker. So the share begins with nothing until
those calls have left the window of a second (a short blip grants nothing twice), and until they have left the window
of a minute only cancels and exits go on, on a quarter each of the reserve that entries left free. Entries lose little:
the quotes without which risk denies them are in Redis as well.
"""

from datetime import datetime

from alphapanda.live.limits.rules import (
    MINUTE_S,
    SECOND_S,
    CallKind,
    Family,
    Window,
    ist_day,
    per_day,
    reserve,
    until_next_day_s,
    windows,
    without_reserve,
)
from alphapanda.settings import CallLimits

PROCESSES = 4
"""How many may be cut off at the same time and still keep the account's limits together."""


class DayCount:
    """Order calls of the account on the current IST day, as far as this process knows."""

    def __init__(self) -> None:
        self.day = 0
        self.known = 0
        """As last said by Redis or the broker's book."""
        self.uncounted = 0
        """Our own since then, which Redis has not been told."""

    def turn(self, day: int) -> None:
        """A new day begins at nothing; the day before is forgotten."""
        if day != self.day:
            self.day, self.known, self.uncounted = day, 0, 0

    def learn(self, day: int, calls: int) -> None:
        if day >= self.day:
            self.turn(day)
            self.known = max(self.known, calls)


class LocalShare:
    """Decides by what it granted and the arguments alone: `cut_at` (when Redis could no longer be asked) and `at` are
    of one monotonic clock, in seconds; `now` tells the day."""

    def __init__(self, limits: CallLimits) -> None:
        self._limits = limits
        self._granted: dict[Family, list[float]] = {family: [] for family in Family}

    def take(self, kind: CallKind, today: DayCount, *, cut_at: float, at: float, now: datetime) -> float:
        """Zero: granted, and counted. Else seconds until it is worth asking again."""
        today.turn(ist_day(now))
        granted = self._granted[kind.family]
        granted[:] = [when for when in granted if at - when < MINUTE_S * PROCESSES]
        waits = [window.wait(granted, at) for window in self._windows(kind, in_first_minute=at < cut_at + MINUTE_S)]
        is_entry = kind.family is Family.ORDERS and not kind.may_use_reserve
        waits.append(cut_at + (MINUTE_S if is_entry else SECOND_S) - at)
        limit = per_day(self._limits, kind)
        if limit is not None and today.uncounted >= (limit - today.known) // PROCESSES:
            waits.append(until_next_day_s(now))
        if (wait := max(waits)) > 0:
            return wait
        granted.append(at)
        if limit is not None:
            today.uncounted += 1
        return 0.0

    def _windows(self, kind: CallKind, *, in_first_minute: bool) -> tuple[Window, ...]:
        # The reserve is taken off the share, not the share off what the reserve leaves: each share has its own.
        if kind.family is not Family.ORDERS:
            return tuple(_share(window) for window in windows(self._limits, kind))
        limits = self._limits
        per_minute = limits.orders_per_minute
        if in_first_minute:
            per_minute = max(1, reserve(per_minute, limits))
        shares = (_share(Window(limits.orders_per_second, SECOND_S)), _share(Window(per_minute, MINUTE_S)))
        return tuple(Window(without_reserve(share.calls, kind, limits), share.seconds) for share in shares)


def _share(window: Window) -> Window:
    if window.calls >= PROCESSES:
        return Window(window.calls // PROCESSES, window.seconds)
    return Window(1, window.seconds * PROCESSES / window.calls)
