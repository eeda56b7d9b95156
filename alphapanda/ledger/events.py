"""Appending transitions: every change of an order's state, written once by its number."""

from collections.abc import Sequence
from dataclasses import dataclass

from alphapanda.domain.ids import OrderId
from alphapanda.domain.reasons import Reason, ReasonCode
from alphapanda.domain.states import OrderState
from alphapanda.ledger.fast import Fetch, Statement


@dataclass(frozen=True, slots=True)
class Transition:
    """One state entered, why, and by whom."""

    state: OrderState
    reason: Reason
    actor: str


_AFTER = Statement("""
SELECT to_state, reason_code, reason, actor FROM order_events WHERE order_id = :order_id AND seq > :seq ORDER BY seq
""")


async def transitions_after(fetch: Fetch, order_id: OrderId, seq: int) -> tuple[Transition, ...]:
    """What was recorded after event `seq`: how a step that runs again learns what it did."""
    rows = await fetch(_AFTER, {"order_id": order_id, "seq": seq})
    return tuple(
        Transition(OrderState(row["to_state"]), _parsed(row["reason_code"], row["reason"]), row["actor"])
        for row in rows
    )


def _parsed(code: str, rendered: str) -> Reason:
    return Reason(code=ReasonCode(code), detail=rendered.partition(": ")[2])


def event_parameters(transitions: Sequence[Transition], from_state: OrderState) -> dict[str, list[str]]:
    """Parallel arrays for `unnest`: from, to, code, rendered reason, actor of each transition."""
    states = [from_state, *(item.state for item in transitions)]
    return {
        "from_states": [str(state) for state in states[:-1]],
        "to_states": [str(item.state) for item in transitions],
        "codes": [str(item.reason.code) for item in transitions],
        "reasons": [str(item.reason) for item in transitions],
        "actors": [item.actor for item in transitions],
    }


INSERT_EVENTS = """
INSERT INTO order_events (order_id, seq, broker, at, from_state, to_state, reason_code, reason, actor, correlation_id)
SELECT :order_id, CAST(:seq AS integer) + ordinal, :broker, CAST(:now AS timestamptz), from_state, to_state, code,
    reason, actor, :correlation_id
FROM turn, unnest(CAST(:from_states AS text[]), CAST(:to_states AS text[]), CAST(:codes AS text[]),
    CAST(:reasons AS text[]), CAST(:actors AS text[]))
    WITH ORDINALITY AS step (from_state, to_state, code, reason, actor, ordinal)
"""
"""A CTE body after a CTE `turn`; parameters of `event_parameters`, order_id, seq, broker, now, correlation_id."""
