"""Reading the book of a working order, and what is made of it."""

from datetime import timedelta

from temporalio import workflow

from workflows.broker_calls import look_up
from workflows.inbox import Inbox
from workflows.order_life import OrderLife
from workflows.waiting import wait_for_login

with workflow.unsafe.imports_passed_through():
    from activities.messages import CallOutcome, CallResult
    from alphapanda.domain.execution import BookStatus, OrderReport
    from alphapanda.domain.reasons import ReasonCode, reason
    from alphapanda.domain.states import WORKING


async def read(life: OrderLife, inbox: Inbox, result: CallResult) -> None:
    """Take over what a call brought back; a failed read changes nothing."""
    if result.outcome is CallOutcome.NOT_AUTHENTICATED:
        await wait_for_login(life, inbox, result)
    elif result.report is not None:
        life.observe(_without_what_never_came(life, result.report))
        _watch_pending(life, result.report)
    await life.flush()
    life.publish()


async def read_replaced(life: OrderLife) -> None:
    """Late fills of the orders at the broker that the present one has replaced."""
    for earlier in life.evidence.replaced:
        result = await look_up(life, earlier)
        if result.report is not None:
            life.observe_replaced(result.report)
    await life.flush()


def _without_what_never_came(life: OrderLife, report: OrderReport) -> OrderReport:
    """Rows of the order that may still come (slices, legs) are waited for; for ever would lose the order.

    Where all that is shown has been filled for as long as the book may lag, what is missing was never placed.
    """
    filled = report.filled_quantity + life.progress.base
    if report.whole or report.status is not BookStatus.COMPLETE or life.progress.filled_quantity < filled:
        life.idle_since = None
        return report
    life.idle_since = life.idle_since or workflow.now()
    if workflow.now() - life.idle_since < timedelta(seconds=life.policy.resolve_timeout_s):
        return report
    missing = life.progress.quantity - life.progress.filled_quantity
    return report.model_copy(update={"unplaced_quantity": missing, "message": report.message or "never in the book"})


def _watch_pending(life: OrderLife, report: OrderReport) -> None:
    """An order that stays pending at the broker is not "open and fine": it is noted, once, and alerts."""
    if report.status is not BookStatus.PENDING or life.state not in WORKING:
        life.pending_since = None
        return
    if life.pending_since is None:
        life.pending_since = workflow.now()
        life.pending_told = False
    waited = workflow.now() - life.pending_since
    if not life.pending_told and waited >= timedelta(seconds=life.policy.resolve_timeout_s):
        life.pending_told = True
        number = report.broker_order_id
        life.note(reason(ReasonCode.SUBMIT_NOT_CONFIRMED, broker_order_id=number, book=report.status), "broker")
