"""What one account may call, as rolling windows: at most so many grants in any so many seconds."""

import math
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from alphapanda.settings import CallLimits

JITTER_S = 0.25
"""How much longer our windows are than the broker's.

Ours run from grant to grant, the broker's from arrival to arrival. Calls granted a window apart arrive closer when the
first was held up on its way and the last was not; a lost packet is sent again after 0.2 s and a round trip. As long
as the ways of two calls differ by less than this, the broker never sees more than the limit in any window of its own.
"""
SECOND_S = 1 + JITTER_S
MINUTE_S = 60 + JITTER_S

_IST_OFFSET_S = 19_800
_DAY_S = 86_400


class CallKind(StrEnum):
    """MODIFY is of an entry. EXIT is the placing, or the modifying, of an order that closes a position."""

    PLACE = "PLACE"
    MODIFY = "MODIFY"
    CANCEL = "CANCEL"
    EXIT = "EXIT"
    READ = "READ"
    QUOTE = "QUOTE"
    HISTORICAL = "HISTORICAL"

    @property
    def family(self) -> "Family":
        return _FAMILIES.get(self, Family.ORDERS)

    @property
    def may_use_reserve(self) -> bool:
        return self in (CallKind.CANCEL, CallKind.EXIT)


class Family(StrEnum):
    """The calls that the broker counts together."""

    ORDERS = "orders"
    READS = "reads"
    QUOTES = "quotes"
    HISTORICAL = "historical"


_FAMILIES = {
    CallKind.READ: Family.READS,
    CallKind.QUOTE: Family.QUOTES,
    CallKind.HISTORICAL: Family.HISTORICAL,
}


@dataclass(frozen=True)
class Window:
    """At most `calls` grants (one or more) in any `seconds`."""

    calls: int
    seconds: float

    def wait(self, granted: list[float], at: float) -> float:
        """Seconds from `at` until one more fits behind the grants (ascending); zero or less: it fits now."""
        if len(granted) < self.calls:
            return 0.0
        return granted[-self.calls] + self.seconds - at


def windows(limits: CallLimits, kind: CallKind) -> tuple[Window, ...]:
    """The windows in which a call of this kind must find room among all grants of its family."""
    match kind.family:
        case Family.ORDERS:
            return (
                Window(without_reserve(limits.orders_per_second, kind, limits), SECOND_S),
                Window(without_reserve(limits.orders_per_minute, kind, limits), MINUTE_S),
            )
        case Family.READS:
            return (Window(limits.reads_per_second, SECOND_S),)
        case Family.QUOTES:
            return (Window(1, SECOND_S),)
        case Family.HISTORICAL:
            return (Window(3, SECOND_S),)


def per_day(limits: CallLimits, kind: CallKind) -> int | None:
    """Grants per calendar day (IST); None where the broker has no such limit."""
    return without_reserve(limits.orders_per_day, kind, limits) if kind.family is Family.ORDERS else None


def without_reserve(calls: int, kind: CallKind, limits: CallLimits) -> int:
    """What this kind may take of `calls`: an entry leaves the reserve, rounded up, but finds room for one at least."""
    if kind.may_use_reserve:
        return calls
    return max(1, calls - reserve(calls, limits))


def reserve(calls: int, limits: CallLimits) -> int:
    return math.ceil(calls * limits.reserve_percent / 100)


def ist_day(now: datetime) -> int:
    """Number of the calendar day in India, counted from 1970; the script counts the same."""
    return int((now.timestamp() + _IST_OFFSET_S) // _DAY_S)


def until_next_day_s(now: datetime) -> float:
    return (ist_day(now) + 1) * _DAY_S - _IST_OFFSET_S - now.timestamp()
