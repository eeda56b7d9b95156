"""Clearing: from RECEIVED to SUBMITTING, through whatever the order has to wait for, or to an early end."""

from datetime import datetime, timedelta

from temporalio import workflow

from workflows.inbox import Inbox, Request
from workflows.order_life import LEDGER_RETRY, LEDGER_TIMEOUT, OrderLife

with workflow.unsafe.imports_passed_through():
    from activities.messages import (
        ApproveCommand,
        CancelCommand,
        CheckInput,
        CheckResult,
        DenyCommand,
        WaitingOrder,
    )
    from activities.signatures import LedgerSteps
    from alphapanda.domain.ids import WorkflowId, broker_workflow_id
    from alphapanda.domain.reasons import ReasonCode, reason
    from alphapanda.domain.states import OrderState

QUOTE_RETRY = timedelta(milliseconds=500)
SESSION_RECHECK = timedelta(seconds=60)
MAX_SESSION_RECHECK = timedelta(minutes=30)
"""Looks at the session grow rarer, so that an outage of weeks does not fill the workflow's history."""


async def clear(life: OrderLife, inbox: Inbox) -> bool:
    """Bring the order to SUBMITTING: True. False when it ended before."""
    patience = timedelta(seconds=life.policy.quote_wait_s)
    patience_ends = workflow.now() + patience
    approval_ends: datetime | None = None
    approval: Request | None = None
    looks = 0
    while True:
        approved_by = None if approval is None else approval.command.actor
        checked = await _check(life, approved_by, patient=workflow.now() < patience_ends)
        life.adopt(checked)
        life.publish()
        if approval is not None:
            approval.done(life.status())
        if life.state is OrderState.SUBMITTING:
            return True
        if life.ended:
            return False
        if life.state is OrderState.AWAITING_APPROVAL and approval_ends is None:
            approval_ends = workflow.now() + timedelta(seconds=life.policy.approval_timeout_s)
        if life.state is OrderState.AWAITING_AUTH and not checked.needs_quote:
            await register_for_login(life, checked.session_since or workflow.now())
            looks += 1
        pause = _pause(life, checked, approval_ends, looks)
        await inbox.wait(pause, session=life.state is OrderState.AWAITING_AUTH)
        inbox.session_restored = False
        approval = await _obey(life, inbox, approval)
        if not checked.needs_quote:
            # The order waited for something else (the open, a person, a login): its quote gets its own time now.
            patience_ends = workflow.now() + patience
        if approval_ends is not None and approval is None and workflow.now() >= approval_ends and not life.ended:
            life.enter(OrderState.EXPIRED, reason(ReasonCode.APPROVAL_TIMED_OUT))
        if life.ended:
            await life.flush()
            return False


async def _check(life: OrderLife, approved_by: str | None, *, patient: bool) -> CheckResult:
    step = CheckInput(
        order_id=life.order.order_id,
        broker=life.order.broker,
        signal=life.signal,
        correlation_id=life.order.correlation_id,
        state=life.state,
        seq=life.seq,
        not_before=workflow.now(),
        approved_by=approved_by,
        reserved_exit=life.is_exit,
        patient=patient,
    )
    return await workflow.execute_local_activity_method(
        LedgerSteps.check_order, step, start_to_close_timeout=LEDGER_TIMEOUT, retry_policy=LEDGER_RETRY
    )


def session_recheck(looks: int) -> timedelta:
    """How long after its `looks`-th look (from 1) an order that nothing wakes asks again whether the session lives."""
    doubled: int = 2 ** min(looks - 1, 10)
    return min(SESSION_RECHECK * doubled, MAX_SESSION_RECHECK)


def _pause(life: OrderLife, checked: CheckResult, approval_ends: datetime | None, looks: int) -> timedelta | None:
    """How long to wait in this state before looking again; None: until something comes."""
    now, ends = workflow.now(), life.signal.expires_at
    wake: datetime | None
    match life.state:
        case _ if checked.needs_quote:
            wake = now + QUOTE_RETRY
        case OrderState.AWAITING_MARKET:
            # A step that ran twice does not know the open any more: it is asked again.
            wake = checked.wait_until or now + QUOTE_RETRY
        case OrderState.AWAITING_APPROVAL:
            wake = approval_ends
        case OrderState.AWAITING_AUTH:
            wake = now + session_recheck(looks)
        case _:
            wake = now + QUOTE_RETRY
    moments = [moment for moment in (wake, ends) if moment is not None]
    return max(min(moments) - now, timedelta(0)) if moments else None


async def _obey(life: OrderLife, inbox: Inbox, approval: Request | None) -> Request | None:
    """Carry out what people asked meanwhile; returns the approval, if there is one. The next check answers it."""
    while (request := inbox.take()) is not None:
        match request.command:
            case CancelCommand(actor=actor):
                life.enter(OrderState.CANCELLED, reason(ReasonCode.PERSON_CANCELLED, by=actor), actor)
            case DenyCommand(actor=actor, note=note) if life.state is OrderState.AWAITING_APPROVAL:
                life.enter(OrderState.DENIED, reason(ReasonCode.PERSON_DENIED, by=actor, note=note or "none"), actor)
            case ApproveCommand() if life.state is OrderState.AWAITING_APPROVAL and approval is None:
                approval = request
                continue
            case _:
                request.refuse("ORDER_NOT_IN_STATE", f"the order is {life.state}: it does not wait for that")
                continue
        await life.flush()
        life.publish()
        request.done(life.status())
        break
    return approval


async def register_for_login(life: OrderLife, lost_at: datetime) -> None:
    """Tell the broker's workflow that this order waits for a login, so that it is woken in risk-first order.

    `lost_at` is when the session was found dead, not when this is told: a login may have come in between.
    """
    waiting = WaitingOrder(workflow_id=WorkflowId(workflow.info().workflow_id), is_exit=life.is_exit, lost_at=lost_at)
    broker = workflow.get_external_workflow_handle(broker_workflow_id(life.order.broker))
    try:
        await broker.signal("order_waiting", waiting)
    except Exception as error:
        workflow.logger.warning("the broker's workflow could not be told", exc_info=error)
