"""Reading the book of a working order, and what is made of it."""

from datetime import timedelta

from temporalio import workflow

from workflows.broker_calls import look_up
from workflows.inbox import Inbox
from workflows.order_life import OrderLife
from workflows.waiting import wait_for_login

with workflow.unsafe.imports_passed_through():
    from activities.messages import CallOutcome, CallResult
    from alphapanda.domain.calendar import trading_date
    from alphapanda.domain.execution import BookStatus, OrderReport
    from alphapanda.domain.reasons import ReasonCode, reason
    from alphapanda.domain.states import WORKING, OrderState
    from alphapanda.domain.vocabulary import Variety

PROVED_ABSENT = 3
"""Reads in a row that must miss an order before it counts as absent: one read may have met a lagging book."""


async def read(life: OrderLife, inbox: Inbox, result: CallResult) -> None:
    """Take over what a call brought back; a failed read changes nothing."""
    if result.outcome is CallOutcome.NOT_AUTHENTICATED:
        await wait_for_login(life, inbox, result)
    elif result.report is not None:
        life.observe(_without_what_never_came(life, result.report))
        _watch_pending(life, result.report)
        life.absent_reads, life.absent_since = 0, None
    elif result.outcome is CallOutcome.DONE:
        _watch_absent(life)
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


def _watch_absent(life: OrderLife) -> None:
    """A broker's book is of one day. An order of an earlier one that it has no more has ended with its day.

    As with any absence, one read proves nothing. A fill that nobody saw shows as drift of the position. An order placed
    after hours belongs to a later day than its row says, and is left to a person.
    """
    if life.state not in WORKING or life.terms.variety is Variety.AMO:
        return
    now = workflow.now()
    life.absent_reads += 1
    life.absent_since = life.absent_since or now
    last_seen = life.shown.updated_at if life.shown is not None else workflow.info().start_time
    lasted = now - life.absent_since >= timedelta(seconds=life.policy.absent_after_s)
    if trading_date(last_seen) < trading_date(now) and life.absent_reads >= PROVED_ABSENT and lasted:
        facts = {"last_seen": trading_date(last_seen), "reads": life.absent_reads}
        life.enter(OrderState.EXPIRED, reason(ReasonCode.BROKER_DAY_OVER, **facts))


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
