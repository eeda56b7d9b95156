"""The Broker protocol: what every adapter does, and the closed set of ways in which a call can end.

A method returns only when the broker's answer proves its outcome; every other end is exactly one of the errors
below. Above all: only `BrokerRejected`, `NotAuthenticated`, `NotPermitted`, `RateLimited` and `BrokerUnavailable`
prove that nothing was placed. Whatever else happens to a placement is `AmbiguousOutcome`.
"""

from collections.abc import Sequence
from typing import Protocol

from alphapanda.domain.errors import AlphaPandaError
from alphapanda.domain.execution import (
    HoldingReport,
    MarginReport,
    OrderChange,
    OrderReport,
    OrderRequest,
    Placement,
    PositionReport,
    SessionReport,
    TradeReport,
)
from alphapanda.domain.ids import Broker, Tag


class BrokerError(AlphaPandaError):
    """Base of the ways a broker call ends without success."""

    code = "BROKER_ERROR"


class BrokerRejected(BrokerError):  # noqa: N818 - named for the outcome
    """The broker refused, with its reason: nothing was placed, changed or cancelled by this call."""

    code = "BROKER_REJECTED"
    default_next_action = "Read the broker's reason, correct the order and send a new signal."


class NotAuthenticated(BrokerError):  # noqa: N818
    """The session is dead; the call did nothing."""

    code = "BROKER_NOT_AUTHENTICATED"
    default_next_action = "Log in to the broker; waiting orders then go on by themselves."


class NotPermitted(BrokerError):  # noqa: N818
    """The account, plan or address may not do this; the call did nothing."""

    code = "BROKER_NOT_PERMITTED"
    default_next_action = "Check the registered IP address and the plan of the broker's app."


class RateLimited(BrokerError):  # noqa: N818
    """The broker asks to slow down; the call did nothing. `retry_after_s` is its or our estimate."""

    code = "BROKER_RATE_LIMITED"
    default_next_action = "Wait; the call is repeated by itself."

    def __init__(self, message: str, *, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class BrokerUnavailable(BrokerError):  # noqa: N818
    """The broker could not be reached before anything was sent; the call did nothing."""

    code = "BROKER_UNAVAILABLE"
    default_next_action = "Wait; the call is repeated by itself."


class AmbiguousOutcome(BrokerError):  # noqa: N818
    """The request may or may not have taken effect: only the order book can tell."""

    code = "BROKER_OUTCOME_UNKNOWN"
    default_next_action = "Wait; the outcome is being read from the broker's order book."


class BrokerAdapter(Protocol):
    """One account at one broker. All methods raise `BrokerError` subclasses and nothing else on purpose."""

    @property
    def name(self) -> Broker: ...

    async def place(self, request: OrderRequest) -> Placement:
        """Send the order at most once. Raises AmbiguousOutcome unless the answer proves the outcome."""
        ...

    async def modify(self, broker_order_id: str, change: OrderChange, *, is_exit: bool = False) -> None:
        """Success means the change was taken. `is_exit`: as in `OrderRequest`."""
        ...

    async def cancel(self, broker_order_id: str) -> None:
        """Ask for a cancel. Success means the request was taken, not that the order is cancelled."""
        ...

    async def orders(self) -> Sequence[OrderReport]:
        """The whole order book of the day, in no particular order, without trades."""
        ...

    async def order(self, broker_order_id: str) -> OrderReport | None:
        """One order with its trades; None only when the broker says that it does not exist."""
        ...

    async def find_by_tag(self, tag: Tag) -> OrderReport | None:
        """The order that carries the tag, with its trades; None when the book, read in full, has none."""
        ...

    async def trades(self) -> Sequence[TradeReport]:
        """All executions of the day."""
        ...

    async def positions(self) -> Sequence[PositionReport]: ...

    async def holdings(self) -> Sequence[HoldingReport]:
        """Shares carried from earlier days."""
        ...

    async def margins(self) -> MarginReport: ...

    async def session(self) -> SessionReport:
        """The session as the broker sees it now; UNKNOWN, or a BrokerError, where it cannot be asked."""
        ...

    async def open_session(self, request_token: str) -> SessionReport:
        """Exchange a login's request token for a session. Raises NotAuthenticated when it is refused."""
        ...

    async def close(self) -> None:
        """Release connections and threads. Safe to call twice; whatever is called later is BrokerUnavailable."""
        ...
