"""Tracking: an order at the broker, from OPEN to its end and a little beyond.

Nudges (order updates, fills of the paper exchange, postbacks) and a timer both lead to the same thing: read the
broker's book. What arrives with a nudge is never trusted.
"""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows.broker_calls import look_up, request_cancel, request_change
from workflows.inbox import Inbox, Request
from workflows.order_life import LEDGER_RETRY, LEDGER_TIMEOUT, OrderLife
from workflows.sending import wait_for_login

with workflow.unsafe.imports_passed_through():
    from activities.messages import CallOutcome, CallResult, CancelCommand, ChangeInput, ModifyCommand
    from activities.signatures import LedgerSteps
    from alphapanda.domain.signal import OrderTerms
    from alphapanda.domain.states import WORKING, OrderState

CANCEL_RETRY = timedelta(seconds=2)
ENDED_UNFILLED = frozenset({OrderState.CANCELLED, OrderState.EXPIRED})
REFUSED = frozenset({CallOutcome.REJECTED, CallOutcome.NOT_PERMITTED})


async def track(life: OrderLife, inbox: Inbox) -> bool:
    """Follow the order to its end: True. False when the run should continue as new with what it has so far."""
    while life.state in WORKING:
        life.publish()
        if life.cancel_requested and not inbox.has_request:
            await _read(life, inbox, await request_cancel(life))
        while life.state in WORKING and (request := inbox.take()) is not None:
            await _serve(life, inbox, request)
        if life.state not in WORKING:
            break
        if workflow.info().is_continue_as_new_suggested() and not inbox.has_request:
            return False
        pause = CANCEL_RETRY if life.cancel_requested else timedelta(seconds=life.policy.poll_interval_s)
        await inbox.wait(pause, nudge=True)
        if inbox.has_request:
            continue
        inbox.nudged = False
        await _read(life, inbox, await look_up(life))
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
        if not nudged:
            break
    return await track(life, inbox) if life.state in WORKING else True


async def _serve(life: OrderLife, inbox: Inbox, request: Request) -> None:
    match request.command:
        case CancelCommand():
            await _cancel(life, inbox, request)
        case ModifyCommand() as command:
            await _modify(life, inbox, request, command)
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
        await _read(life, inbox, await look_up(life))
        request.refuse("ORDER_CANCEL_REFUSED", f"the broker refused: {result.message}; the order is {life.state}")
        return
    await _read(life, inbox, result)
    request.done(life.status())


async def _modify(life: OrderLife, inbox: Inbox, request: Request, command: ModifyCommand) -> None:
    if command.change.is_empty:
        request.refuse("CHANGE_EMPTY", "name at least one field to change")
        return
    step = ChangeInput(
        order_id=life.order.order_id,
        broker=life.order.broker,
        signal=life.current_signal,
        filled_quantity=life.progress.filled_quantity,
        change=command.change,
    )
    try:
        checked = await workflow.execute_local_activity_method(
            LedgerSteps.check_change, step, start_to_close_timeout=LEDGER_TIMEOUT, retry_policy=LEDGER_RETRY
        )
    except ActivityError as error:  # the order itself goes on as it is
        request.refuse("CHANGE_NOT_CHECKED", f"the change could not be checked: {error.cause or error}")
        return
    if checked.refusal is not None or checked.terms is None:
        request.refuse("CHANGE_REFUSED", str(checked.refusal))
        return
    life.mark(modify_requested=True)
    result = await request_change(life, command.change)
    life.mark(modify_requested=False)
    if result.outcome is CallOutcome.AMBIGUOUS:
        result = await _as_the_book_has_it(life, checked.terms, result)
    if result.outcome is CallOutcome.DONE:
        life.change_terms(checked.terms)
        await _read(life, inbox, result)
        request.done(life.status())
    elif result.outcome in REFUSED:
        await _read(life, inbox, await look_up(life))
        request.refuse("ORDER_MODIFY_REFUSED", f"the broker refused: {result.message}; the order is {life.state}")
    else:
        request.refuse("ORDER_MODIFY_NOT_DONE", f"the order is as it was ({result.outcome}): {result.message}")
        await _read(life, inbox, result)


async def _as_the_book_has_it(life: OrderLife, terms: OrderTerms, unclear: CallResult) -> CallResult:
    """What became of a change whose answer was lost: DONE where the book shows the new terms."""
    result = await look_up(life)
    if result.report is None:
        return unclear
    shown = (result.report.quantity, result.report.order_type, result.report.price, result.report.trigger_price)
    if shown == (terms.quantity, terms.order_type, terms.price, terms.trigger_price):
        return result
    return unclear.model_copy(update={"report": result.report})


async def _read(life: OrderLife, inbox: Inbox, result: CallResult) -> None:
    """Take over what a call brought back; a failed read changes nothing."""
    if result.outcome is CallOutcome.NOT_AUTHENTICATED:
        await wait_for_login(life, inbox, result)
    elif result.report is not None:
        life.observe(result.report)
    await life.flush()
    life.publish()
