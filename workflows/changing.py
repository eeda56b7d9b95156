"""Changing a working order: checked against instrument and limits, then asked of the broker."""

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows.broker_calls import look_up, request_change
from workflows.inbox import Inbox, Request
from workflows.order_life import LEDGER_RETRY, LEDGER_TIMEOUT, OrderLife
from workflows.reading import read
from workflows.replacing import replace

with workflow.unsafe.imports_passed_through():
    from activities.messages import CallOutcome, CallResult, ChangeInput, ChangeResult, ModifyCommand
    from activities.signatures import LedgerSteps
    from alphapanda.domain.execution import MAX_MODIFICATIONS, OrderChange
    from alphapanda.domain.signal import OrderTerms

REFUSED = frozenset({CallOutcome.REJECTED, CallOutcome.NOT_PERMITTED})


async def modify(life: OrderLife, inbox: Inbox, request: Request, command: ModifyCommand) -> None:
    if command.change.is_empty:
        request.refuse("CHANGE_EMPTY", "name at least one field to change")
        return
    try:
        checked = await check_change(life, command.change)
    except ActivityError as error:  # the order itself goes on as it is
        request.refuse("CHANGE_NOT_CHECKED", f"the change could not be checked: {error.cause or error}")
        return
    if checked.refusal is not None or checked.terms is None:
        request.refuse("CHANGE_REFUSED", str(checked.refusal))
        return
    if life.modifications >= MAX_MODIFICATIONS:
        await replace(life, inbox, request, checked.terms)
        return
    life.mark(modify_requested=True)
    result = await ask_for(life, command.change, checked.terms)
    life.mark(modify_requested=False)
    if result.outcome is CallOutcome.DONE:
        life.change_terms(checked.terms)
        await read(life, inbox, result)
        request.done(life.status())
    elif result.outcome in REFUSED:
        await read(life, inbox, await look_up(life))
        request.refuse("ORDER_MODIFY_REFUSED", f"the broker refused: {result.message}; the order is {life.state}")
    else:
        request.refuse("ORDER_MODIFY_NOT_DONE", f"the order is as it was ({result.outcome}): {result.message}")
        await read(life, inbox, result)


async def check_change(life: OrderLife, change: OrderChange) -> ChangeResult:
    """Whether the order may become that; what it adds is then reserved. Raises ActivityError."""
    step = ChangeInput(
        order_id=life.order.order_id,
        broker=life.order.broker,
        signal=life.current_signal,
        filled_quantity=life.progress.filled_quantity,
        change=change,
    )
    return await workflow.execute_local_activity_method(
        LedgerSteps.check_change, step, start_to_close_timeout=LEDGER_TIMEOUT, retry_policy=LEDGER_RETRY
    )


async def ask_for(life: OrderLife, change: OrderChange, terms: OrderTerms) -> CallResult:
    """Ask the broker for the change, which is to make the order's terms `terms`; counted unless it was refused."""
    if change.quantity is not None:
        # Its present order at the broker is for what earlier ones did not fill.
        change = change.model_copy(update={"quantity": change.quantity - life.progress.base})
    result = await request_change(life, change)
    if result.outcome in (CallOutcome.DONE, CallOutcome.AMBIGUOUS):
        life.modifications += 1
    if result.outcome is CallOutcome.AMBIGUOUS:
        return await _as_the_book_has_it(life, terms, result)
    return result


async def _as_the_book_has_it(life: OrderLife, terms: OrderTerms, unclear: CallResult) -> CallResult:
    """What became of a change whose answer was lost: DONE where the book shows the new terms."""
    result = await look_up(life)
    if result.report is None:
        return unclear
    quantity = result.report.quantity + life.progress.base
    shown = (quantity, result.report.order_type, result.report.price, result.report.trigger_price)
    if shown == (terms.quantity, terms.order_type, terms.price, terms.trigger_price):
        return result
    return unclear.model_copy(update={"report": result.report})
