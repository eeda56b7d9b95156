"""Waiting with an order that was handed to the broker: for a login, and for the outcome while a cancel comes in."""

from temporalio import workflow

from workflows.broker_calls import look_up
from workflows.clearing import register_for_login, session_recheck
from workflows.inbox import Inbox
from workflows.order_life import OrderLife

with workflow.unsafe.imports_passed_through():
    from activities.messages import CallOutcome, CallResult, CancelCommand
    from alphapanda.domain.reasons import ReasonCode, reason
    from alphapanda.domain.states import OrderState


async def note_cancels(life: OrderLife, inbox: Inbox) -> None:
    """Before the outcome is known a cancel is only noted; nothing else can be asked for yet."""
    while (request := inbox.take()) is not None:
        if isinstance(request.command, CancelCommand):
            life.mark(cancel_requested=True)
            await life.flush()
            request.done(life.status())
        else:
            request.refuse("ORDER_NOT_IN_STATE", f"the order is {life.state}: its outcome is not known yet")


async def wait_for_login(life: OrderLife, inbox: Inbox, refused: CallResult) -> None:
    """Stay in AWAITING_AUTH until somebody logs in, then restore the state it left. `refused` is the dead call's."""
    left = life.state
    life.enter(OrderState.AWAITING_AUTH, reason(ReasonCode.SESSION_LOST, was=left), "broker")
    await life.flush()
    life.publish()
    await register_for_login(life, refused.lost_at or workflow.now())
    looks = 1
    while not inbox.session_restored:
        asked = await inbox.wait(session_recheck(looks), session=True)
        await note_cancels(life, inbox)
        # The timer is the safety net for a wake-up that got lost: a book that can be read proves the session.
        if not asked and (await look_up(life)).outcome is CallOutcome.DONE:
            break
        looks += not asked
    inbox.session_restored = False
    life.enter(left, reason(ReasonCode.SESSION_RESTORED))
    await life.flush()
    life.publish()
