"""The evidence a workflow gathers of its order's sending, from the first attempt on, and shows once there is doubt."""

from datetime import datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.messages import CallOutcome, CallResult
    from alphapanda.domain.evidence import Evidence, Replaced, Search, Sent
    from alphapanda.domain.execution import BookStatus
    from alphapanda.domain.ids import Tag

KEPT = 10
"""Attempts and searches, each: enough for any order, and no order's row grows without end."""


class Gathered:
    """What was sent and what the book said. `show()` is None until there is something to explain."""

    def __init__(self, replaced: tuple[Replaced, ...]) -> None:
        self.in_doubt = False
        self.replaced = replaced
        self._sent: list[Sent] = []
        self._searches: list[Search] = []

    def sent(self, attempt: int, tag: Tag, terms: str, at: datetime) -> None:
        self._sent = [*self._sent[-KEPT + 1 :], Sent(attempt=attempt, tag=tag, terms=terms, sent_at=at)]

    def ended(self, result: CallResult, at: datetime) -> None:
        """How the attempt's call ended."""
        answer = {
            "ended_at": at,
            "outcome": str(result.outcome),
            "answer": result.message,
            "broker_order_id": result.broker_order_id,
        }
        self._sent[-1] = self._sent[-1].model_copy(update=answer)

    def looked(self, attempt: int, result: CallResult, at: datetime) -> None:
        """One read of the book for the attempt."""
        last = self._searches[-1] if self._searches and self._searches[-1].attempt == attempt else None
        if last is None:
            last = Search(attempt=attempt, first_at=at, last_at=at, reads=0, absent=0, pending=0, unreadable=0, last="")
            self._searches = [*self._searches[-KEPT + 1 :], last]
        readable, report = result.outcome is CallOutcome.DONE, result.report
        self._searches[-1] = last.model_copy(
            update={
                "last_at": at,
                "reads": last.reads + 1,
                "absent": last.absent + (readable and report is None),
                "pending": last.pending + (report is not None and report.status is BookStatus.PENDING),
                "unreadable": last.unreadable + (not readable),
                "last": what_the_book_said(result),
            }
        )

    def show(self) -> Evidence | None:
        if not self._sent or not (self.in_doubt or self.replaced):
            return None  # nothing to explain, or an earlier run has recorded it
        return Evidence(sent=tuple(self._sent), searches=tuple(self._searches), replaced=self.replaced)

    def lines(self) -> list[str]:
        """The same for people, in the workflow's current details."""
        shown = self.show()
        if shown is None:
            return []
        lines = [
            f"- sent ({each.attempt}): {each.terms} at {each.sent_at:%H:%M:%S} UTC, tag {each.tag}: "
            f"{each.outcome or 'no answer yet'} {each.answer}".rstrip()
            for each in shown.sent
        ]
        lines += [
            f"- book ({each.attempt}): {each.reads} reads, {each.first_at:%H:%M:%S} to {each.last_at:%H:%M:%S} UTC, "
            f"absent in {each.absent}, pending in {each.pending}, unreadable in {each.unreadable}; last: {each.last}"
            for each in shown.searches
        ]
        return lines + [f"- replaces broker order {each.broker_order_id}, tag {each.tag}" for each in shown.replaced]


def what_the_book_said(result: CallResult) -> str:
    if result.outcome is not CallOutcome.DONE:
        return f"not readable: {result.message or result.outcome}"
    if result.report is None:
        return "absent"
    report = result.report
    return f"{report.status}, filled {report.filled_quantity}/{report.quantity} {report.message}".rstrip()
