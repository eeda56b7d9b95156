"""What happens next to an order, for people."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from alphapanda.domain.states import WORKING, OrderState

# fmt: off
_NEXT_STEPS: dict[OrderState, str] = {
    OrderState.RECEIVED:          "It is checked next; a worker on the `orders` queue does that.",
    OrderState.VALIDATED:         "It waits for a fresh quote, then risk is checked.",
    OrderState.AWAITING_APPROVAL: "Approve or deny it.",
    OrderState.AWAITING_MARKET:   "It goes on by itself when the market opens; cancel it if it should not.",
    OrderState.APPROVED:          "It is sent next.",
    OrderState.AWAITING_AUTH:     "Log in to the broker: it then goes on by itself.",
    OrderState.SUBMITTING:        "The broker's worker sends it and reports back.",
    OrderState.UNKNOWN:           "The broker's order book is being searched for its tag; nothing is sent again.",
    OrderState.PARKED:            "Look into the broker's order book, then `resolve` it.",
    OrderState.OPEN:              "It rests at the broker until it fills, expires, or is modified or cancelled.",
    OrderState.PARTIALLY_FILLED:  "The rest works at the broker until it fills, expires or is cancelled.",
    OrderState.FAILED:            "Read the reason, correct its cause, then `retry` it.",
}
# fmt: on
_STUCK = (
    "The broker has it and has not passed it on. It is never sent again; look at it in the broker's own order book."
)
_DOUBTS = frozenset({OrderState.UNKNOWN, OrderState.PARKED}) | WORKING


def next_step(state: OrderState, *, stuck: bool = False) -> str:
    """What happens next to an order in this state, or what a person can do, in one sentence.

    `stuck`: the broker's book shows it as taken and not passed on.
    """
    if stuck and state in _DOUBTS:
        return _STUCK
    return _NEXT_STEPS.get(state, "Nothing: it has ended.")
