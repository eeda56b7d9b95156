"""Every way in which a call to Kite can end, as one table: the first row that fits decides.

An order call (place, modify, cancel) may have taken effect unless the reply proves otherwise, and only a documented
refusal proves it. A read takes no effect, so what would be ambiguous is merely unavailable. `ROWS` is read by the
adapter, by the documentation and by a test per row.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from alphapanda.brokers.protocol import (
    AmbiguousOutcome,
    BrokerError,
    BrokerRejected,
    BrokerUnavailable,
    NotAuthenticated,
    NotPermitted,
    RateLimited,
)
from alphapanda.redaction import redact_text


class End(StrEnum):
    """The closed set of ends; all but ACCEPTED are an error class of the broker protocol."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"
    NOT_AUTHENTICATED = "not authenticated"
    NOT_PERMITTED = "not permitted"
    RATE_LIMITED = "rate limited"
    AMBIGUOUS = "ambiguous"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class Reply:
    """What is known of one HTTP exchange once kiteconnect is done with it.

    `sent`: a byte of the request may have left. `status` None: no complete answer came. `failure`: the class name of
    what was raised, None where kiteconnect returned `value`. `error_type` and `message` are of a JSON error body.
    """

    sent: bool
    status: int | None = None
    content_type: str = ""
    error_type: str | None = None
    message: str = ""
    retry_after_s: float | None = None
    failure: str | None = None
    value: Any = None

    @property
    def is_json(self) -> bool:
        return "json" in self.content_type

    @property
    def is_refusal(self) -> bool:
        """A 4xx with a JSON body: the only form in which Kite refuses."""
        return self.status is not None and 400 <= self.status < 500 and self.is_json


REFUSALS = frozenset({"OrderException", "InputException", "MarginException", "HoldingException", "UserException"})
"""The error types that document a refusal. kiteconnect knows only the first two of them."""

# "Order request timed out. Please check the order book and confirm before placing again." A margin refusal says
# "Check the orderbook for open orders", so the order book alone is no sign of doubt.
_IN_DOUBT = re.compile(r"tim(?:ed|e)[\s-]*out|before placing (?:it )?again", re.IGNORECASE)
_TOO_MANY_MODIFICATIONS = re.compile(r"maximum allowed order modifications", re.IGNORECASE)
_TIMEOUTS = frozenset({"ReadTimeout", "DeadlinePassed"})


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    fits: Callable[[Reply], bool]
    order: End
    read: End
    why: str


def _is(reply: Reply, first: int, last: int) -> bool:
    return reply.status is not None and first <= reply.status <= last


# fmt: off
ROWS: tuple[Row, ...] = (
    Row("nothing sent", lambda r: not r.sent, End.UNAVAILABLE, End.UNAVAILABLE,
        "refused connection, unknown host, no connection or TLS in time: no byte of the request left"),
    Row("no answer in time", lambda r: r.status is None and r.failure in _TIMEOUTS, End.AMBIGUOUS, End.UNAVAILABLE,
        "orders have gone live seconds after their timeout"),
    Row("no whole answer", lambda r: r.status is None, End.AMBIGUOUS, End.UNAVAILABLE,
        "the connection was closed or reset after the request, or in the middle of the answer"),
    Row("accepted", lambda r: _is(r, 200, 299) and r.failure is None, End.ACCEPTED, End.ACCEPTED,
        "a 2xx with the JSON that the call promises"),
    # With any status: kiteconnect gives it the class of a network error, but it will be refused for ever.
    Row("too many modifications", lambda r: r.is_json and bool(_TOO_MANY_MODIFICATIONS.search(r.message)),
        End.REJECTED, End.REJECTED, "an order may be modified 25 times; cancel and place it anew"),
    # Whatever the body is: the limiter in front answers by status, before an order system is asked.
    Row("too many requests", lambda r: r.status == 429, End.RATE_LIMITED, End.RATE_LIMITED,
        "HTTP 429, from Kite or from the edge in front of it"),
    Row("dead token", lambda r: r.is_refusal and r.error_type == "TokenException",
        End.NOT_AUTHENTICATED, End.NOT_AUTHENTICATED, "expired, logged out, or a login elsewhere"),
    Row("no permission", lambda r: r.is_refusal and r.error_type == "PermissionException",
        End.NOT_PERMITTED, End.NOT_PERMITTED, "an address that is not registered, or a plan without this call"),
    Row("refusal in doubt", lambda r: r.is_refusal and bool(_IN_DOUBT.search(r.message)),
        End.AMBIGUOUS, End.UNAVAILABLE, "a 400 that asks to check the order book: the order may still be placed"),
    Row("refused", lambda r: r.is_refusal and r.error_type in REFUSALS, End.REJECTED, End.REJECTED,
        "a documented refusal: order, input, margin, holding or user exception in a JSON body with a 4xx"),
    Row("not found", lambda r: r.is_refusal and r.status == 404, End.AMBIGUOUS, End.REJECTED,
        "what was to be read does not exist; of an order call it is no documented refusal"),
    Row("other error", lambda r: r.is_refusal, End.AMBIGUOUS, End.UNAVAILABLE,
        "general, data or network exception, an unknown type or none: says nothing about the order"),
    Row("client error without JSON", lambda r: _is(r, 400, 499), End.AMBIGUOUS, End.UNAVAILABLE,
        "a page of something between Kite and us"),
    Row("server error", lambda r: _is(r, 500, 599), End.AMBIGUOUS, End.UNAVAILABLE,
        "Kite or its gateway gave up on an order system that may have taken the order"),
    Row("redirect", lambda r: _is(r, 300, 399), End.AMBIGUOUS, End.UNAVAILABLE,
        "not followed: a POST would become a GET, and its answer would be another call's"),
    Row("unreadable success", lambda r: _is(r, 200, 299), End.AMBIGUOUS, End.UNAVAILABLE,
        "a 2xx that is no JSON, half of it, an error by its own words, or without the order id"),
    Row("anything else", lambda _: True, End.AMBIGUOUS, End.UNAVAILABLE, "no answer that HTTP knows"),
)
# fmt: on


def row_of(reply: Reply) -> Row:
    return next(row for row in ROWS if row.fits(reply))


def error_of(reply: Reply, *, is_order: bool) -> BrokerError | None:
    """The error to raise for the reply, with the broker's reason and without secrets; None: accepted."""
    return error_by(row_of(reply), reply, is_order=is_order)


def error_by(row: Row, reply: Reply, *, is_order: bool) -> BrokerError | None:
    text = _told(reply, row)
    match row.order if is_order else row.read:
        case End.ACCEPTED:
            return None
        case End.REJECTED:
            return BrokerRejected(text)
        case End.NOT_AUTHENTICATED:
            return NotAuthenticated(text)
        case End.NOT_PERMITTED:
            return NotPermitted(text)
        case End.RATE_LIMITED:
            return RateLimited(text, retry_after_s=reply.retry_after_s or 1.0)
        case End.AMBIGUOUS:
            return AmbiguousOutcome(text)
        case End.UNAVAILABLE:
            return BrokerUnavailable(text)


def _told(reply: Reply, row: Row) -> str:
    """The broker's own words where it gave a reason, else what happened: never a body or an exception's text."""
    if reply.message:
        return redact_text(" ".join(reply.message.split())[:300])
    if reply.status is not None:
        return f"{row.name}: HTTP {reply.status} {reply.content_type or 'without a content type'}".strip()
    return f"{row.name}: {reply.failure}"


def outcome_table() -> str:
    """The table as Markdown, for the documentation."""
    lines = [f"| {row.name} | {row.order} | {row.read} | {row.why} |" for row in ROWS]
    return "\n".join(["| what came back | order call | read | why |", "|---|---|---|---|", *lines])
