"""Faults to rehearse with: what may go wrong, and when it does.

A fault is armed for a number of calls, or for each with a probability, and spent as it strikes. One request meets at
most one fault of its reply, and beside it every fault of the order's fate that is armed for it.
"""

import random
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum

from alphapanda.domain.errors import InvalidValueError
from alphapanda.kitesim.calls import ORDER_CALLS, Call


class Fault(StrEnum):
    """The value is the name that `/sim/faults` takes."""

    # Of the reply. Where nothing else is said, the call is carried out before the reply is spoilt.
    TIMEOUT_BEFORE = "timeout-before"  # nothing happens, nothing is answered
    TIMEOUT_AFTER = "timeout-after"
    RESET_BEFORE = "reset-before"  # nothing happens, the connection is reset
    RESET_AFTER = "reset-after"
    SERVER_ERROR = "server-error"  # 5xx with Kite's JSON
    HTML_502 = "html-502"
    HTML_504 = "html-504"
    MALFORMED_JSON = "malformed-json"  # 200, cut off
    NO_DATA = "no-data"  # 200 and success, without `data`
    NO_ERROR_TYPE = "no-error-type"  # an error in JSON that does not say which
    NO_CONTENT_TYPE = "no-content-type"
    TIMED_OUT_400 = "timed-out-400"  # "Order request timed out": placed some seconds later
    REDIRECT = "redirect"  # 302, which a careless client follows with a GET
    # Refusals: nothing is carried out.
    TOKEN_EXPIRY = "token-expiry"  # noqa: S105 - the session dies at this call
    IP_NOT_ALLOWED = "ip-not-allowed"
    TOO_MANY_REQUESTS = "too-many-requests"
    REJECT_MARGIN = "reject-margin"
    REJECT_HOLDING = "reject-holding"
    REJECT_ORDER = "reject-order"
    REJECT_INPUT = "reject-input"
    REJECT_USER = "reject-user"
    # Of an accepted order's fate.
    BOOK_LAG = "book-lag"  # invisible for some seconds
    HIDDEN = "hidden"  # invisible until released
    STUCK = "stuck"  # stays in PUT ORDER REQ RECEIVED until released
    EXCHANGE_REJECT = "exchange-reject"  # OPEN, then REJECTED
    PARTIAL_FILL = "partial-fill"  # a part fills, the rest waits until released
    LATE_FILL = "late-fill"  # cancelled, and filled some seconds later
    SLICE_FAILURE = "slice-failure"  # the second of the slices is refused
    # Of updates and postbacks.
    UPDATE_LOST = "update-lost"
    UPDATE_DUPLICATED = "update-duplicated"
    UPDATE_REORDERED = "update-reordered"  # held back until after the next
    POSTBACK_LOST = "postback-lost"
    POSTBACK_DUPLICATED = "postback-duplicated"
    POSTBACK_REORDERED = "postback-reordered"
    # Of a ticker that connects.
    SOCKET_MUTE = "socket-mute"  # open, and nothing ever comes
    SOCKET_FORBIDDEN = "socket-forbidden"  # 403 though the token lives
    SOCKET_BUSY = "socket-busy"  # 429


REPLY_FAULTS = frozenset(
    {
        Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER, Fault.RESET_BEFORE, Fault.RESET_AFTER, Fault.SERVER_ERROR,
        Fault.HTML_502, Fault.HTML_504, Fault.MALFORMED_JSON, Fault.NO_DATA, Fault.NO_ERROR_TYPE,
        Fault.NO_CONTENT_TYPE, Fault.TIMED_OUT_400, Fault.REDIRECT, Fault.TOKEN_EXPIRY, Fault.IP_NOT_ALLOWED,
        Fault.TOO_MANY_REQUESTS, Fault.REJECT_MARGIN, Fault.REJECT_HOLDING, Fault.REJECT_ORDER, Fault.REJECT_INPUT,
        Fault.REJECT_USER,
    }
)  # fmt: skip
FATE_FAULTS = frozenset(
    {
        Fault.BOOK_LAG, Fault.HIDDEN, Fault.STUCK, Fault.EXCHANGE_REJECT, Fault.PARTIAL_FILL, Fault.LATE_FILL,
        Fault.SLICE_FAILURE,
    }
)  # fmt: skip

_PLACE_ONLY = FATE_FAULTS | {Fault.TIMED_OUT_400}


@dataclass(slots=True)
class Armed:
    """One armed fault. What `seconds`, `ratio` and `status` mean is the fault's own (see `arm`)."""

    fault: Fault
    calls: frozenset[Call]
    count: int | None
    probability: float
    skip: int
    tag: str | None
    seconds: float | None
    accepted: bool
    ratio: float
    status: int
    struck: int = 0

    @property
    def is_spent(self) -> bool:
        return self.count is not None and self.struck >= self.count


class Faults:
    """What is armed, in the order of arming, and how often each fault has struck."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)  # noqa: S311 - rehearsals must repeat
        self._armed: list[Armed] = []
        self.struck: dict[Fault, int] = {}

    @property
    def armed(self) -> tuple[Armed, ...]:
        return tuple(each for each in self._armed if not each.is_spent)

    def arm(
        self,
        fault: Fault | str,
        *,
        count: int | None = 1,
        calls: Collection[Call | str] | None = None,
        probability: float = 1.0,
        skip: int = 0,
        tag: str | None = None,
        seconds: float | None = None,
        accepted: bool = True,
        ratio: float = 0.5,
        status: int = 500,
    ) -> Armed:
        """Let `fault` strike `count` times (None: until cleared), after `skip` calls went by unharmed.

        `calls`: which ones; without it those that place orders, for refusals that befall all of them every order
        call. `tag`: only orders with this tag. `seconds`: how long a timeout holds the connection (60), until a
        `timed-out-400` is placed (8), a book lags (30), a late fill or the exchange's rejection comes (1, 0); for
        `stuck` and `hidden` the time until release (never). `accepted`: whether a call whose reply is spoilt was
        carried out. `ratio`: the part of the quantity that a `partial-fill` lets through. `status`: of `server-error`.
        Raises InvalidValueError.
        """
        try:
            name = Fault(fault)
            where = frozenset(Call(each) for each in calls) if calls is not None else _usual_calls(name)
        except ValueError as error:
            known = ", ".join(sorted([*Fault, *Call]))
            raise InvalidValueError(f"faults: {error}; known are {known}") from error
        if name in _PLACE_ONLY and where != {Call.PLACE}:
            raise InvalidValueError(f"calls: {name} befalls `place` only")
        if count is not None and count < 1:
            raise InvalidValueError(f"count: at least 1, or none for ever; not {count}")
        if not 0 < probability <= 1:
            raise InvalidValueError(f"probability: above 0 and at most 1, not {probability}")
        if not 0 <= ratio <= 1:
            raise InvalidValueError(f"ratio: between 0 and 1, not {ratio}")
        if not 500 <= status <= 599:
            raise InvalidValueError(f"status: between 500 and 599, not {status}")
        armed = Armed(name, where, count, probability, skip, tag, seconds, accepted, ratio, status)
        self._armed.append(armed)
        return armed

    def clear(self, faults: Iterable[Fault] | None = None) -> None:
        """Disarm these, or all."""
        gone = frozenset(faults) if faults is not None else frozenset(Fault)
        self._armed = [each for each in self._armed if each.fault not in gone]

    def reply(self, call: Call, tag: str | None) -> Armed | None:
        """The fault that spoils this request's reply."""
        return self._strike(lambda each: each.fault in REPLY_FAULTS and call in each.calls, tag)

    def fate(self, tag: str | None) -> list[Armed]:
        """The faults that await an order placed now, one of each kind."""
        found = (self.event(kind, tag=tag) for kind in sorted(FATE_FAULTS))
        return [each for each in found if each is not None]

    def event(self, *kinds: Fault, tag: str | None = None) -> Armed | None:
        """The fault of one of these kinds that befalls an order, an update, a postback or a connecting ticker."""
        return self._strike(lambda each: each.fault in kinds, tag)

    def _strike(self, fits: Callable[[Armed], bool], tag: str | None) -> Armed | None:
        for each in self._armed:
            if not fits(each) or each.is_spent or (each.tag is not None and each.tag != tag):
                continue
            if each.skip > 0:
                each.skip -= 1
                continue
            if each.probability < 1 and self._dice.random() >= each.probability:
                continue
            each.struck += 1
            self.struck[each.fault] = self.struck.get(each.fault, 0) + 1
            if each.is_spent:
                self._armed.remove(each)
            return each
        return None


def _usual_calls(fault: Fault) -> frozenset[Call]:
    if fault in (Fault.TOKEN_EXPIRY, Fault.IP_NOT_ALLOWED, Fault.TOO_MANY_REQUESTS):
        return ORDER_CALLS
    return frozenset({Call.PLACE})
