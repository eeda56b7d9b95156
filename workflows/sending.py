"""Sending: from SUBMITTING to an order that is known to rest, to have ended, or to have never been placed.

The request goes out at most once per attempt. An outcome that is not proved is UNKNOWN, and is settled from the
broker's order book by the tag.
"""

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow

from workflows.broker_calls import submit
from workflows.inbox import Inbox
from workflows.order_life import OrderLife
from workflows.settling import adopted, look, settle
from workflows.waiting import note_cancels, wait_for_login

with workflow.unsafe.imports_passed_through():
    from activities.messages import CallOutcome, CallResult, CancelCommand
    from alphapanda.domain.execution import BookStatus
    from alphapanda.domain.reasons import Reason, ReasonCode, reason
    from alphapanda.domain.states import OrderState

S = OrderState

PROVED_UNSENT = frozenset({CallOutcome.NOT_AUTHENTICATED, CallOutcome.RATE_LIMITED, CallOutcome.UNAVAILABLE})

UNREACHED_RETRY = timedelta(seconds=2)
MAX_UNREACHED_RETRY = timedelta(seconds=16)
FIRST_LOOK = timedelta(seconds=0.5)
MAX_LOOK_INTERVAL = timedelta(seconds=4)
CONFIRMED_WITHIN = timedelta(seconds=15)
"""How long an order that the broker took may be on its way through it. A sound one needs a second at most."""


async def send(life: OrderLife, inbox: Inbox) -> None:
    """Send until the outcome is proved. Leaves the order working, ended, or AWAITING_AUTH (proved unsent)."""
    if life.attempt == 0 or life.evidence.replaced:
        await _cancel_unsent(life, inbox)
    deadline = life.send_before(workflow.now())
    unreached = 0
    while life.state is S.SUBMITTING:
        result = await _submitted(life, inbox, deadline)
        if life.unproved and result.outcome in PROVED_UNSENT:
            # This attempt placed nothing; what became of an earlier one is still open.
            result = result.model_copy(update={"outcome": CallOutcome.AMBIGUOUS})
        if life.cancel_requested and result.outcome in PROVED_UNSENT:
            life.enter(S.CANCELLED, reason(ReasonCode.PERSON_CANCELLED))
            break
        match result.outcome:
            case CallOutcome.DONE:
                deadline = await _placed(life, inbox, result, deadline)
            case CallOutcome.REJECTED | CallOutcome.NOT_PERMITTED:
                _refused(life, result)
            case CallOutcome.WITHHELD:
                life.enter(S.CANCELLED, result.withheld or Reason(code=ReasonCode.SWITCH_HALTED))
            case CallOutcome.NOT_AUTHENTICATED if life.evidence.replaced:
                # It was cleared once and is part of an order at work; what comes too late is withheld.
                await wait_for_login(life, inbox, result)
            case CallOutcome.NOT_AUTHENTICATED:
                life.enter(S.AWAITING_AUTH, reason(ReasonCode.SESSION_LOST, message=result.message), "broker")
            case CallOutcome.RATE_LIMITED:
                await _pause_unsent(life, inbox, timedelta(seconds=result.retry_after_s))
            case CallOutcome.UNAVAILABLE:
                unreached += 1
                await _pause_unsent(life, inbox, _until_reached(unreached))
            case CallOutcome.AMBIGUOUS:
                why = reason(ReasonCode.SUBMIT_OUTCOME_UNKNOWN, message=result.message)
                deadline = await _doubted(life, inbox, why)
    await life.flush()


def _until_reached(times: int) -> timedelta:
    """Longer each time, and for each order another: all that wait for a hung broker at one instant would cost the
    orders of the other brokers, which are decided by the same worker."""
    longest = min(UNREACHED_RETRY.total_seconds() * 2 ** min(times, 10), MAX_UNREACHED_RETRY.total_seconds())
    return timedelta(seconds=longest * workflow.random().uniform(0.25, 1))


async def _doubted(life: OrderLife, inbox: Inbox, why: Reason) -> datetime:
    """UNKNOWN until it is settled; returns until when it may be sent again, should that be the outcome."""
    life.unproved = True
    life.enter(S.UNKNOWN, why)
    await settle(life, inbox)
    return life.send_before(workflow.now())  # whoever decided to send it again did so now


def _refused(life: OrderLife, result: CallResult) -> None:
    """What an earlier order at the broker filled in its place stays filled."""
    permitted = result.outcome is not CallOutcome.NOT_PERMITTED
    code = ReasonCode.BROKER_REJECTED if permitted else ReasonCode.SUBMIT_NOT_PERMITTED
    state = S.CANCELLED if life.progress.filled_quantity else S.REJECTED
    life.enter(state, reason(code, message=result.message), "broker")


async def _placed(life: OrderLife, inbox: Inbox, result: CallResult, deadline: datetime) -> datetime:
    """The broker took it. Where its answer does not say what became of it, the book does: until then it is not OPEN."""
    if result.report is not None and result.report.status is not BookStatus.PENDING:
        life.observe(result.report)
        return deadline
    life.broker_order_id = result.broker_order_id
    if result.report is not None:
        life.remember(result.report)
    pause, ends = FIRST_LOOK, workflow.now() + CONFIRMED_WITHIN
    life.publish()
    while True:
        await inbox.wait(pause, nudge=True)
        inbox.nudged = False
        await note_cancels(life, inbox)
        looked = await look(life)
        if adopted(life, looked, found=False):
            return deadline
        if looked.outcome is not CallOutcome.DONE:
            # That it was taken is proved; the book is read as soon as it can be.
            accepted = reason(ReasonCode.BROKER_ACCEPTED, broker_order_id=life.broker_order_id)
            life.enter(S.OPEN, accepted, "broker")
            return deadline
        if workflow.now() >= ends:
            break
        pause = min(pause * 2, MAX_LOOK_INTERVAL)
    said = "absent" if looked.report is None else looked.report.status
    why = reason(ReasonCode.SUBMIT_NOT_CONFIRMED, broker_order_id=life.broker_order_id, book=said)
    return await _doubted(life, inbox, why)


async def _submitted(life: OrderLife, inbox: Inbox, deadline: datetime) -> CallResult:
    """The call's result; a cancel that comes meanwhile is written at once, where the worker's last check reads it."""
    life.publish()
    call = asyncio.create_task(submit(life, deadline))
    while not call.done():
        await workflow.wait_condition(lambda: call.done() or inbox.has_request)
        await note_cancels(life, inbox)
    life.evidence.ended(call.result(), workflow.now())
    return call.result()


async def _pause_unsent(life: OrderLife, inbox: Inbox, pause: timedelta) -> None:
    """The broker proved that this attempt placed nothing: wait, and let a cancel end the order here."""
    await life.flush()
    await inbox.wait(pause)
    await _cancel_unsent(life, inbox)


async def _cancel_unsent(life: OrderLife, inbox: Inbox) -> None:
    """Nothing is at the broker: a cancel ends the order at once."""
    while life.state is S.SUBMITTING and (request := inbox.take()) is not None:
        if isinstance(request.command, CancelCommand):
            actor = request.command.actor
            life.enter(S.CANCELLED, reason(ReasonCode.PERSON_CANCELLED, by=actor), actor)
            await life.flush()
            request.done(life.status())
        else:
            request.refuse("ORDER_NOT_IN_STATE", f"the order is {life.state}: it is not at the broker yet")
