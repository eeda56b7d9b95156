"""The order's states and the one table of legal transitions, used by workflow, ledger, API and docs."""

from enum import StrEnum

from alphapanda.domain.errors import AlphaPandaError


class OrderState(StrEnum):
    RECEIVED = "RECEIVED"
    VALIDATED = "VALIDATED"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    AWAITING_MARKET = "AWAITING_MARKET"
    APPROVED = "APPROVED"
    AWAITING_AUTH = "AWAITING_AUTH"
    SUBMITTING = "SUBMITTING"
    UNKNOWN = "UNKNOWN"
    PARKED = "PARKED"
    OPEN = "OPEN"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    INVALID = "INVALID"
    DENIED = "DENIED"
    FAILED = "FAILED"

    @property
    def meaning(self) -> str:
        return MEANINGS[self]


class IllegalTransitionError(AlphaPandaError):
    """A transition the table does not allow: a bug, or a fact that arrived out of its time."""

    code = "ORDER_ILLEGAL_TRANSITION"

    def __init__(self, current: OrderState, to: OrderState) -> None:
        legal = ", ".join(sorted(TRANSITIONS[current])) or "none"
        super().__init__(f"state: {current} -> {to} is not a legal transition (legal: {legal})")
        self.current = current
        self.to = to


S = OrderState

# fmt: off
_ROWS: tuple[tuple[OrderState, str, tuple[OrderState, ...]], ...] = (
    (S.RECEIVED,          "the workflow has the signal",
     (S.VALIDATED, S.INVALID, S.CANCELLED, S.EXPIRED, S.FAILED)),
    (S.VALIDATED,         "instrument, lot, tick, price band, product, freshness and session hours hold",
     (S.AWAITING_MARKET, S.APPROVED, S.DENIED, S.AWAITING_APPROVAL, S.CANCELLED, S.EXPIRED, S.FAILED)),
    (S.AWAITING_APPROVAL, "a person must confirm it",
     (S.APPROVED, S.DENIED, S.CANCELLED, S.EXPIRED, S.FAILED)),
    (S.AWAITING_MARKET,   "the market is closed and the signal asks to wait for the open",
     (S.VALIDATED, S.CANCELLED, S.EXPIRED, S.FAILED)),
    (S.APPROVED,          "risk passed and the exposure is reserved",
     (S.SUBMITTING, S.AWAITING_AUTH, S.DENIED, S.CANCELLED, S.EXPIRED, S.FAILED)),
    # It returns to the state it left, so an order at rest at the broker never goes back to APPROVED.
    (S.AWAITING_AUTH,     "the broker session is dead; nothing is sent until somebody logs in",
     (S.APPROVED, S.SUBMITTING, S.OPEN, S.PARTIALLY_FILLED, S.UNKNOWN, S.CANCELLED, S.EXPIRED)),
    # CANCELLED: proved unsent (halted, expired or cancelled in the last moment), or cancelled in the same breath.
    (S.SUBMITTING,        "the intent is recorded and the request may be on the wire",
     (S.OPEN, S.PARTIALLY_FILLED, S.FILLED, S.REJECTED, S.UNKNOWN, S.AWAITING_AUTH, S.CANCELLED)),
    # SUBMITTING only once the broker's book has proved the order absent and policy allows sending it again.
    (S.UNKNOWN,           "sent, outcome ambiguous; being resolved from the broker's order book",
     (S.OPEN, S.PARTIALLY_FILLED, S.FILLED, S.REJECTED, S.CANCELLED, S.PARKED, S.SUBMITTING, S.AWAITING_AUTH)),
    (S.PARKED,            "could not be resolved: a person decides with `resolve`",
     (S.OPEN, S.PARTIALLY_FILLED, S.FILLED, S.REJECTED, S.CANCELLED, S.SUBMITTING, S.FAILED)),
    # SUBMITTING: modified as often as the broker allows, cancelled there for certain, its rest placed anew.
    (S.OPEN,              "resting at the broker (trigger pending and AMO included)",
     (S.PARTIALLY_FILLED, S.FILLED, S.CANCELLED, S.REJECTED, S.EXPIRED, S.AWAITING_AUTH, S.SUBMITTING)),
    (S.PARTIALLY_FILLED,  "0 < filled < quantity, still working",
     (S.FILLED, S.CANCELLED, S.EXPIRED, S.AWAITING_AUTH, S.SUBMITTING)),
    (S.FILLED,            "filled in full",                                       ()),
    # A cancel is a request: brokers have executed orders they showed as ended. The late fill is booked.
    (S.CANCELLED,         "cancelled, here or at the broker",                     (S.FILLED, S.PARTIALLY_FILLED)),
    (S.REJECTED,          "refused by the broker or the exchange",                ()),
    (S.EXPIRED,           "its validity or its deadline ran out",                 (S.FILLED, S.PARTIALLY_FILLED)),
    (S.INVALID,           "the signal breaks a rule of its instrument or market", ()),
    (S.DENIED,            "refused by risk, a switch or a person",                ()),
    (S.FAILED,            "an unexpected error; kept for `retry`",                (S.RECEIVED,)),
)
# fmt: on

MEANINGS: dict[OrderState, str] = {state: meaning for state, meaning, _ in _ROWS}
TRANSITIONS: dict[OrderState, frozenset[OrderState]] = {state: frozenset(to) for state, _, to in _ROWS}

AT_REST = frozenset({S.FILLED, S.CANCELLED, S.REJECTED, S.EXPIRED})
"""Ended at the broker (or before it, for CANCELLED and EXPIRED)."""

NEVER_SENT = frozenset({S.INVALID, S.DENIED, S.FAILED})
TERMINAL = AT_REST | NEVER_SENT

BEFORE_THE_WIRE = frozenset({S.RECEIVED, S.VALIDATED, S.AWAITING_APPROVAL, S.AWAITING_MARKET, S.APPROVED})
"""Nothing can be at the broker yet: a cancel ends the order at once."""

WORKING = frozenset({S.OPEN, S.PARTIALLY_FILLED})
NEEDS_A_PERSON = frozenset({S.AWAITING_APPROVAL, S.AWAITING_AUTH, S.PARKED, S.FAILED})


def check_transition(current: OrderState, to: OrderState) -> None:
    """Raise IllegalTransitionError unless the table allows `current` -> `to`."""
    if to not in TRANSITIONS[current]:
        raise IllegalTransitionError(current, to)


def path_to(current: OrderState, to: OrderState) -> tuple[OrderState, ...]:
    """The states to enter, in order, to get from `current` to `to`: empty when already there.

    A fact read from the broker's book may lie two steps ahead (an IOC order seen first when it has already
    expired was OPEN in between). Only such steps through OPEN are taken; anything else raises.
    """
    if to is current:
        return ()
    if to in TRANSITIONS[current]:
        return (to,)
    if S.OPEN in TRANSITIONS[current] and to in TRANSITIONS[S.OPEN]:
        return (S.OPEN, to)
    raise IllegalTransitionError(current, to)
