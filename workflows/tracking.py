"""Tracking: an order at the broker, from OPEN to its end and a little beyond.

Nudges (order updates, fills of the paper exchange, postbacks) and a timer both lead to the same thing: read the
broker's book. What arrives with a nudge is never trusted.
"""

from datetime import timedelta

from temporalio import workflow

from workflows import unfilled
from workflows.broker_calls import look_up, request_cancel
from workflows.changing import REFUSED, modify
from workflows.inbox import Inbox, Request
from workflows.order_life import OrderLife
from workflows.reading import read, read_replaced

with workflow.unsafe.imports_passed_through():
    from activities.messages import CallOutcome, CancelCommand, ModifyCommand
    from alphapanda.domain.states import WORKING, OrderState

CANCEL_RETRY = timedelta(seconds=2)
ENDED_UNFILLED = frozenset({OrderState.CANCELLED, OrderState.EXPIRED})


async def track(life: OrderLife, inbox: Inbox) -> bool:
    """Follow the order to its end: True. False when the run should continue as new with what it has so far."""
    while life.state in WORKING:
        life.publish()
        if life.cancel_requested and not inbox.has_request:
            await read(life, inbox, await request_cancel(life))
        while life.state in WORKING and (request := inbox.take()) is not None:
            await _serve(life, inbox, request)
        if life.state not in WORKING:
            break
        if workflow.info().is_continue_as_new_suggested() and not inbox.has_request:
            return False
        pause = CANCEL_RETRY if life.cancel_requested else timedelta(seconds=life.policy.poll_interval_s)
        await inbox.wait(unfilled.look_again_in(life, pause), nudge=True)
        if inbox.has_request:
            continue
        inbox.nudged = False
        result = await look_up(life)
        await read(life, inbox, result)
        await read_replaced(life)
        if result.report is not None and life.state in WORKING:
            await unfilled.act(life, inbox)
    return await _watch_for_late_fills(life, inbox)


async def _watch_for_late_fills(life: OrderLife, inbox: Inbox) -> bool:
    """A cancel is a request, and books have been wrong: look once more before letting go."""
    life.publish()
    ends = workflow.now() + timedelta(seconds=life.policy.late_fill_watch_s)
    while life.broker_order_id is not None and life.state in ENDED_UNFILLED and workflow.now() < ends:
        nudged = await inbox.wait(ends - workflow.now(), nudge=True)
        inbox.nudged = False
        inbox.refuse_all("ORDER_ENDED", f"the order is {life.state}")
        result = await look_up(life)
        if result.report is not None:
            life.observe(result.report)
            await life.flush()
        await read_replaced(life)
        if not nudged:
            break
    return await track(life, inbox) if life.state in WORKING else True


async def _serve(life: OrderLife, inbox: Inbox, request: Request) -> None:
    match request.command:
        case CancelCommand():
            await _cancel(life, inbox, request)
        case ModifyCommand() as command:
            await modify(life, inbox, request, command)
        case _:
            request.refuse("ORDER_NOT_IN_STATE", f"the order is {life.state}: it does not wait for that")


async def _cancel(life: OrderLife, inbox: Inbox, request: Request) -> None:
    life.mark(cancel_requested=True)
    result = await request_cancel(life)
    if result.outcome is CallOutcome.NOT_AUTHENTICATED:
        request.done(life.status())  # it is kept, and asked for again as soon as somebody has logged in
    if result.outcome in REFUSED:
        # Most often it filled in the meantime: the book says which.
        life.mark(cancel_requested=False)
        await read(life, inbox, await look_up(life))
        request.refuse("ORDER_CANCEL_REFUSED", f"the broker refused: {result.message}; the order is {life.state}")
        return
    await read(life, inbox, result)
    request.done(life.status())
