"""Settling: an order that was sent and whose outcome is not known, until the broker's book or a person tells.

It is looked for by its tag, again and again, for minutes: books lag. What the book shows working is adopted; what the
broker has but does not pass on is never sent again; what is proved absent is sent again where policy allows; the rest
is PARKED.
"""

from datetime import datetime, timedelta

from temporalio import workflow

from workflows.broker_calls import look_up, request_cancel
from workflows.evidence import what_the_book_said
from workflows.inbox import Inbox, Request
from workflows.order_life import OrderLife
from workflows.reading import PROVED_ABSENT
from workflows.waiting import note_cancels, wait_for_login

with workflow.unsafe.imports_passed_through():
    from activities.messages import (
        AT_THE_BROKER,
        NOT_AT_THE_BROKER,
        CallOutcome,
        CallResult,
        ResolveCommand,
    )
    from alphapanda.domain.execution import BookStatus, OrderReport
    from alphapanda.domain.reasons import Reason, ReasonCode, reason
    from alphapanda.domain.states import OrderState

S = OrderState

PARKED_RECHECK = timedelta(minutes=5)
MAX_PARKED_RECHECK = timedelta(hours=1)
MAX_RESOLVE_INTERVAL = timedelta(seconds=15)


async def settle(life: OrderLife, inbox: Inbox) -> None:
    """Resolve UNKNOWN from the broker's book: adopted, sent again where policy allows, or parked and then decided."""
    await life.flush()
    life.publish()
    interval = timedelta(seconds=life.policy.resolve_interval_s)
    began = workflow.now()
    ends = began + timedelta(seconds=life.policy.resolve_timeout_s)
    absent = 0
    while True:
        result = await look(life)
        if adopted(life, result):
            return
        missing = result.outcome is CallOutcome.DONE and result.report is None and life.broker_order_id is None
        absent = absent + 1 if missing else 0
        if result.outcome is CallOutcome.NOT_AUTHENTICATED:
            waited_from = workflow.now()
            await wait_for_login(life, inbox, result)
            ends += workflow.now() - waited_from
            continue
        # Where policy sends again what is proved absent, a proof that has begun is finished: the time may have gone
        # by while no worker could read the book.
        proving = life.policy.resend_when_absent and absent > 0 and not _is_proof(life, absent, began)
        if workflow.now() >= ends and not proving:
            break
        await inbox.wait(interval, nudge=True)
        inbox.nudged = False
        await note_cancels(life, inbox)
        interval = min(interval * 1.5, MAX_RESOLVE_INTERVAL)
    if _is_proof(life, absent, began) and life.policy.resend_when_absent and not life.cancel_requested:
        life.enter(S.SUBMITTING, reason(ReasonCode.SUBMIT_PROVED_ABSENT, reads=absent, tag=life.tag))
        return
    life.enter(S.PARKED, _why_parked(life, absent, result))
    await _parked(life, inbox)


async def look(life: OrderLife) -> CallResult:
    """Read the order's row, and keep what it said as evidence. A cancel of what is at the broker is asked for first."""
    result = None
    if life.cancel_requested and life.broker_order_id is not None:
        asked = await request_cancel(life)
        if asked.report is not None or asked.outcome is CallOutcome.NOT_AUTHENTICATED:
            result = asked
    if result is None:
        result = await look_up(life)
    life.evidence.looked(life.attempt, result, workflow.now())
    return result


def adopted(life: OrderLife, result: CallResult, *, found: bool = True) -> bool:
    """Whether the book shows the order as more than taken in, which settles it.

    A row that is still pending at the broker is remembered: the order is there and must not be sent again.
    """
    report = result.report
    if report is None:
        return False
    if report.status is BookStatus.PENDING:
        life.remember(report)
        return False
    why = reason(ReasonCode.RESOLVED_FROM_BOOK, tag=life.tag, broker_order_id=report.broker_order_id)
    life.observe(report, found=why if found else None)
    return True


def _is_proof(life: OrderLife, absent: int, began: datetime) -> bool:
    """Enough reads in a row without the tag, the last of them long enough after the request for a book that lags."""
    return absent >= PROVED_ABSENT and workflow.now() >= began + timedelta(seconds=life.policy.absent_after_s)


def _why_parked(life: OrderLife, absent: int, result: CallResult) -> Reason:
    if life.broker_order_id is not None:
        return reason(
            ReasonCode.RESOLVE_STUCK_AT_BROKER,
            tag=life.tag,
            broker_order_id=life.broker_order_id,
            book=what_the_book_said(result),
        )
    said = f"absent in {absent} reads" if absent else result.message or str(result.outcome)
    return reason(ReasonCode.RESOLVE_GAVE_UP, tag=life.tag, book=said)


async def _parked(life: OrderLife, inbox: Inbox) -> None:
    """Until a person resolves it, or the book shows it after all."""
    await life.flush()
    life.publish()
    recheck = PARKED_RECHECK
    while life.state is S.PARKED:
        looking = not await inbox.wait(recheck, nudge=True) or inbox.nudged
        inbox.nudged = False
        while life.state is S.PARKED and (request := inbox.take()) is not None:
            await _decide(life, request)
        if life.state is S.PARKED and looking:
            adopted(life, await look(life))
            recheck = min(recheck * 2, MAX_PARKED_RECHECK)


async def _decide(life: OrderLife, request: Request) -> None:
    command = request.command
    if not isinstance(command, ResolveCommand):
        request.refuse("ORDER_PARKED", "the order is PARKED: its outcome is not known; resolve it first")
        return
    why = reason(ReasonCode.PERSON_RESOLVED, by=command.actor, note=command.note or "none")
    if command.state in AT_THE_BROKER:
        if not await _is_there(life, request, command, why):
            return
    elif command.state in (S.FAILED, S.REJECTED) and life.progress.filled_quantity:
        request.refuse(
            "RESOLVE_STATE_IMPOSSIBLE",
            f"{life.progress.filled_quantity} are filled already: CANCELLED says that the rest is not at the broker",
        )
        return
    elif command.state in NOT_AT_THE_BROKER or command.state is S.SUBMITTING:
        if command.state is S.SUBMITTING:
            life.broker_order_id = None
        life.enter(command.state, why, command.actor)
    else:
        request.refuse("RESOLVE_STATE_IMPOSSIBLE", f"a parked order cannot be resolved to {command.state}")
        return
    await life.flush()
    life.publish()
    request.done(life.status())


async def _is_there(life: OrderLife, request: Request, command: ResolveCommand, why: Reason) -> bool:
    """Take over the row that a person says is the order's; refused where the book does not bear it out."""
    known = life.broker_order_id
    life.broker_order_id = command.broker_order_id or known
    result = await look_up(life)
    if result.report is not None and _is_ours(life, result.report):
        life.observe(result.report, found=why)
        return True
    life.broker_order_id = known
    if result.report is not None:
        request.refuse("RESOLVE_NOT_THIS_ORDER", f"order {result.report.broker_order_id} of the book is another")
    else:
        said = "has no such order" if result.outcome is CallOutcome.DONE else f"cannot be read ({result.message})"
        request.refuse("RESOLVE_NOT_IN_BOOK", f"the broker's book {said}")
    return False


def _is_ours(life: OrderLife, report: OrderReport) -> bool:
    """Whether a row of the book that a person named can be this order; a row placed by hand carries no tag."""
    terms = life.signal
    what = (report.exchange, report.tradingsymbol, report.side, report.product)
    return report.tag in (None, life.tag) and what == (terms.exchange, terms.tradingsymbol, terms.side, terms.product)
