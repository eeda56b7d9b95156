"""The answer to an auto-sliced placement: one id for the whole, and per slice an id or an error.

How large a slice was is nowhere in the answer (the freeze quantity, rounded down to whole lots), so the quantity the
broker did not take is known once the book shows every slice that it did.
"""

from dataclasses import dataclass
from typing import Any

from alphapanda.brokers.protocol import AmbiguousOutcome, BrokerError, BrokerRejected
from alphapanda.brokers.zerodha.book import Group
from alphapanda.brokers.zerodha.outcomes import Reply, error_of
from alphapanda.domain.execution import OrderReport


def order_id_of(answer: object) -> str:
    """The order id in a placement's answer. Raises TypeError for anything else: then the outcome is in doubt."""
    if isinstance(answer, bool) or not isinstance(answer, str | int) or not str(answer):
        raise TypeError("the answer holds no order id")
    return str(answer)


@dataclass(frozen=True, slots=True)
class Sliced:
    """`placed` are the ids of the slices taken; `in_doubt` counts those whose error proves nothing."""

    broker_order_id: str
    placed: frozenset[str]
    refused: int
    in_doubt: int
    message: str

    def error(self) -> BrokerError | None:
        """What to raise when no slice was taken."""
        if self.placed:
            return None
        return AmbiguousOutcome(self.message) if self.in_doubt else BrokerRejected(self.message)


def sliced_of(answer: object) -> Sliced:
    """Raises TypeError or KeyError for an answer of another shape."""
    if not isinstance(answer, dict):
        raise TypeError("the answer to an auto-slice is no object")
    order_id = order_id_of(answer["order_id"])
    children = answer["children"]
    if not isinstance(children, list) or not children or not all(isinstance(child, dict) for child in children):
        raise TypeError("the answer to an auto-slice names no slices")
    placed = frozenset(order_id_of(child["order_id"]) for child in children if child.get("order_id"))
    errors = [_error(child.get("error")) for child in children if not child.get("order_id")]
    refused = [each for each in errors if isinstance(each, BrokerRejected)]
    message = str(errors[0]) if errors else ""
    return Sliced(order_id, placed, len(refused), len(errors) - len(refused), message)


def _error(error: Any) -> BrokerError:
    """A slice's error by the same table as a whole order's: only a documented refusal proves it absent."""
    if not isinstance(error, dict):
        raise TypeError("a slice has neither an id nor an error")
    code = error.get("code")
    reply = Reply(
        sent=True,
        status=code if isinstance(code, int) else None,
        content_type="application/json",
        error_type=str(error.get("error_type") or "") or None,
        message=str(error.get("message") or ""),
        failure="SliceError",
    )
    return error_of(reply, is_order=True) or AmbiguousOutcome("a slice came back with an error that is none")


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A sliced order of which some slices were refused, and none is in doubt."""

    quantity: int
    placed: frozenset[str]
    message: str

    def told_in(self, report: OrderReport, group: Group) -> OrderReport:
        """The report with what was not placed, as soon as the book shows all that was."""
        shown = {each.order_id: each.report.quantity for each in group.entries}
        if not self.placed <= shown.keys():
            return report
        unplaced = max(0, self.quantity - sum(shown.values()))
        return report.model_copy(update={"unplaced_quantity": unplaced, "message": report.message or self.message})
