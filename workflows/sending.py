"""Sending: from SUBMITTING to an order that is known to rest, to have ended, or to have never been placed.

The request goes out at most once per attempt. An outcome that is not proved is UNKNOWN, and is resolved from the
broker's order book by the tag; what the book does not settle is PARKED for a person.
"""

import asyncio
from datetime import datetime, timedelta

from temporalio import workflow

from workflows.broker_calls import look_up, submit
from workflows.clearing import register_for_login, session_recheck
from workflows.inbox import Inbox, Request
from workflows.order_life import OrderLife

with workflow.unsafe.imports_passed_through():
    from activities.messages import (
        AT_THE_BROKER,
        NOT_AT_THE_BROKER,
        CallOutcome,
        CallResult,
        CancelCommand,
        ResolveCommand,
    )
    from alphapanda.domain.execution import OrderReport
    from alphapanda.domain.reasons import Reason, ReasonCode, reason
    from alphapanda.domain.states import OrderState

S = OrderState

PROVED_UNSENT = frozenset({CallOutcome.NOT_AUTHENTICATED, CallOutcome.RATE_LIMITED, CallOutcome.UNAVAILABLE})

UNREACHED_RETRY = timedelta(seconds=2)
PARKED_RECHECK = timedelta(minutes=5)
MAX_PARKED_RECHECK = timedelta(hours=1)
MAX_RESOLVE_INTERVAL = timedelta(seconds=15)
PROVED_ABSENT = 3
"""Reads in a row that must miss the tag before an order counts as absent: one read may have met a lagging book."""


async def send(life: OrderLife, inbox: Inbox) -> None:
    """Send until the outcome is proved. Leaves the order working, ended, or AWAITING_AUTH (proved unsent)."""
    if life.attempt == 0:
        await _cancel_unsent(life, inbox)
    deadline = life.send_before(workflow.now())
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
                _placed(life, result)
            case CallOutcome.REJECTED:
                life.enter(S.REJECTED, reason(ReasonCode.BROKER_REJECTED, message=result.message), "broker")
            case CallOutcome.NOT_PERMITTED:
                life.enter(S.REJECTED, reason(ReasonCode.SUBMIT_NOT_PERMITTED, message=result.message), "broker")
            case CallOutcome.WITHHELD:
                life.enter(S.CANCELLED, result.withheld or Reason(code=ReasonCode.SWITCH_HALTED))
            case CallOutcome.NOT_AUTHENTICATED:
                life.enter(S.AWAITING_AUTH, reason(ReasonCode.SESSION_LOST, message=result.message), "broker")
            case CallOutcome.RATE_LIMITED:
                await _pause_unsent(life, inbox, timedelta(seconds=result.retry_after_s))
            case CallOutcome.UNAVAILABLE:
                await _pause_unsent(life, inbox, UNREACHED_RETRY)
            case CallOutcome.AMBIGUOUS:
                life.unproved = True
                life.enter(S.UNKNOWN, reason(ReasonCode.SUBMIT_OUTCOME_UNKNOWN, message=result.message))
                await _settle(life, inbox)
                deadline = life.send_before(workflow.now())  # whoever decided to send it again did so now
    await life.flush()


def _placed(life: OrderLife, result: CallResult) -> None:
    if result.report is not None:
        life.observe(result.report)
        return
    life.broker_order_id = result.broker_order_id
    life.enter(S.OPEN, reason(ReasonCode.BROKER_ACCEPTED, broker_order_id=result.broker_order_id), "broker")


async def _submitted(life: OrderLife, inbox: Inbox, deadline: datetime) -> CallResult:
    """The call's result; a cancel that comes meanwhile is written at once, where the worker's last check reads it."""
    life.publish()
    call = asyncio.create_task(submit(life, deadline))
    while not call.done():
        await workflow.wait_condition(lambda: call.done() or inbox.has_request)
        await _note_cancels(life, inbox)
    return call.result()


async def _note_cancels(life: OrderLife, inbox: Inbox) -> None:
    """Before the outcome is known a cancel is only noted; nothing else can be asked for yet."""
    while (request := inbox.take()) is not None:
        if isinstance(request.command, CancelCommand):
            life.mark(cancel_requested=True)
            await life.flush()
            request.done(life.status())
        else:
            request.refuse("ORDER_NOT_IN_STATE", f"the order is {life.state}: its outcome is not known yet")


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


async def _settle(life: OrderLife, inbox: Inbox) -> None:
    """Resolve UNKNOWN from the broker's book: adopted, sent again where policy allows, or parked."""
    await life.flush()
    life.publish()
    interval = timedelta(seconds=life.policy.resolve_interval_s)
    ends = workflow.now() + timedelta(seconds=life.policy.resolve_timeout_s)
    absent = 0
    while True:
        result = await look_up(life)
        if result.report is not None:
            return _adopt(life, result)
        absent = absent + 1 if result.outcome is CallOutcome.DONE else 0
        if result.outcome is CallOutcome.NOT_AUTHENTICATED:
            waited_from = workflow.now()
            await wait_for_login(life, inbox, result)
            ends += workflow.now() - waited_from
            continue
        # Where policy sends again what is proved absent, a proof that has begun is finished: the time may have gone
        # by while no worker could read the book.
        proving = life.policy.resend_when_absent and 0 < absent < PROVED_ABSENT
        if workflow.now() >= ends and not proving:
            break
        await inbox.wait(interval, nudge=True)
        inbox.nudged = False
        await _note_cancels(life, inbox)
        interval = min(interval * 1.5, MAX_RESOLVE_INTERVAL)
    if absent >= PROVED_ABSENT and life.policy.resend_when_absent and not life.cancel_requested:
        life.enter(S.SUBMITTING, reason(ReasonCode.SUBMIT_PROVED_ABSENT, reads=absent, tag=life.tag))
        return None
    said = f"absent in {absent} reads" if absent else result.message or str(result.outcome)
    life.enter(S.PARKED, reason(ReasonCode.RESOLVE_GAVE_UP, tag=life.tag, book=said))
    return await _parked(life, inbox)


def _adopt(life: OrderLife, result: CallResult) -> None:
    if result.report is not None:
        why = reason(ReasonCode.RESOLVED_FROM_BOOK, tag=life.tag, broker_order_id=result.report.broker_order_id)
        life.observe(result.report, found=why)


async def _parked(life: OrderLife, inbox: Inbox) -> None:
    """Until a person resolves it, or the book shows it after all."""
    await life.flush()
    life.publish()
    recheck = PARKED_RECHECK
    while life.state is S.PARKED:
        look = not await inbox.wait(recheck, nudge=True) or inbox.nudged
        inbox.nudged = False
        while life.state is S.PARKED and (request := inbox.take()) is not None:
            await _decide(life, request)
        if life.state is S.PARKED and look:
            _adopt(life, await look_up(life))
            recheck = min(recheck * 2, MAX_PARKED_RECHECK)


async def _decide(life: OrderLife, request: Request) -> None:
    command = request.command
    if not isinstance(command, ResolveCommand):
        request.refuse("ORDER_PARKED", "the order is PARKED: its outcome is not known; resolve it first")
        return
    facts = {"by": command.actor, "note": command.note or "none"}
    why = reason(ReasonCode.PERSON_RESOLVED, **facts)
    if command.state in AT_THE_BROKER:
        life.broker_order_id = command.broker_order_id
        result = await look_up(life)
        if result.report is None or not _is_ours(life, result.report):
            life.broker_order_id = None
        if result.report is not None and not _is_ours(life, result.report):
            request.refuse("RESOLVE_NOT_THIS_ORDER", f"order {result.report.broker_order_id} of the book is another")
            return
        if result.report is None:
            said = "has no such order" if result.outcome is CallOutcome.DONE else f"cannot be read ({result.message})"
            request.refuse("RESOLVE_NOT_IN_BOOK", f"the broker's book {said}")
            return
        life.observe(result.report, found=why)
    elif command.state in NOT_AT_THE_BROKER or command.state is S.SUBMITTING:
        life.enter(command.state, why, command.actor)
    else:
        request.refuse("RESOLVE_STATE_IMPOSSIBLE", f"a parked order cannot be resolved to {command.state}")
        return
    await life.flush()
    life.publish()
    request.done(life.status())


def _is_ours(life: OrderLife, report: OrderReport) -> bool:
    """Whether a row of the book that a person named can be this order; a row placed by hand carries no tag."""
    terms = life.signal
    what = (report.exchange, report.tradingsymbol, report.side, report.product)
    return report.tag in (None, life.tag) and what == (terms.exchange, terms.tradingsymbol, terms.side, terms.product)


async def wait_for_login(life: OrderLife, inbox: Inbox, refused: CallResult) -> None:
    """Stay in AWAITING_AUTH until somebody logs in, then restore the state it left. `refused` is the dead call's."""
    left = life.state
    life.enter(S.AWAITING_AUTH, reason(ReasonCode.SESSION_LOST, was=left), "broker")
    await life.flush()
    life.publish()
    await register_for_login(life, refused.lost_at or workflow.now())
    looks = 1
    while not inbox.session_restored:
        asked = await inbox.wait(session_recheck(looks), session=True)
        await _note_cancels(life, inbox)
        # The timer is the safety net for a wake-up that got lost: a book that can be read proves the session.
        if not asked and (await look_up(life)).outcome is CallOutcome.DONE:
            break
        looks += not asked
    inbox.session_restored = False
    life.enter(left, reason(ReasonCode.SESSION_RESTORED))
    await life.flush()
    life.publish()
