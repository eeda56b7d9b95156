"""Replacing: an order that was modified as often as the broker allows is cancelled there and its rest placed anew.

Never two at once: the new order is sent only when the book shows the old one cancelled, with all its fills counted.
Its tag is recorded before, and it is sent, searched for and parked like any other (`sending`).
"""

from datetime import timedelta

from temporalio import workflow

from workflows.broker_calls import look_up, request_cancel
from workflows.inbox import Inbox, Request
from workflows.order_life import OrderLife
from workflows.reading import read
from workflows.sending import send
from workflows.waiting import note_cancels, wait_for_login

with workflow.unsafe.imports_passed_through():
    from activities.messages import CallOutcome
    from alphapanda.domain.execution import BookStatus, OrderReport
    from alphapanda.domain.ids import next_tag
    from alphapanda.domain.reasons import ReasonCode, reason
    from alphapanda.domain.signal import OrderTerms
    from alphapanda.domain.states import WORKING
    from alphapanda.domain.vocabulary import Validity, Variety

ASK_AGAIN = timedelta(seconds=2)
PATIENCE = timedelta(seconds=60)
"""How long the cancel of the old order is waited for; the order then stays as it is, and nothing is sent."""


async def replace(life: OrderLife, inbox: Inbox, request: Request, terms: OrderTerms) -> None:
    """Make the order's terms `terms` by cancel and replace. The request is answered once the intent is recorded."""
    if life.shown is None:  # nothing was read yet in this run
        await read(life, inbox, await look_up(life))
    unfit = _unfit(life, terms)
    if unfit is not None:
        request.refuse(
            "ORDER_MODIFICATIONS_EXHAUSTED",
            f"it was modified {life.modifications} times, which is all the broker allows, and {unfit}: "
            "cancel it and send a new signal",
        )
        life.mark(modify_requested=False)  # what was reserved for the change is given back
        await life.flush()
        return
    life.mark(modify_requested=True)
    facts = {"modifications": life.modifications, "tag": life.tag, "broker_order_id": life.broker_order_id}
    life.note(reason(ReasonCode.CHANGE_REPLACES, **facts))
    await life.flush()
    life.publish()
    ended = await _cancelled(life, inbox)
    life.mark(modify_requested=False)
    rest = terms.quantity - life.progress.filled_quantity
    if ended is None or ended.status is not BookStatus.CANCELLED or life.cancel_requested or rest <= 0:
        why = f"the broker shows it {ended.status}" if ended else "the broker did not confirm its cancel in time"
        life.note(reason(ReasonCode.CHANGE_NOT_REPLACED, why=why, cancel_requested=life.cancel_requested))
        if ended is not None:
            life.observe(ended)
        await life.flush()
        life.publish()
        request.refuse("ORDER_MODIFY_REFUSED", f"it was not replaced: {why}; the order is {life.state}")
        return
    facts = {"rest": rest, "was": life.broker_order_id, "tag": next_tag(life.tag) if life.tag else None}
    life.replace(terms, reason(ReasonCode.CHANGE_REPLACED, **facts))
    await life.flush()
    life.publish()
    request.done(life.status())
    await send(life, inbox)


def _unfit(life: OrderLife, terms: OrderTerms) -> str | None:
    """What would become something else if it were placed a second time; None where nothing would."""
    if life.state not in WORKING:
        return f"it is {life.state}"
    if life.cancel_requested:
        return "its cancel is asked for"
    if terms.variety is not Variety.REGULAR or life.shown is None or not life.shown.whole:
        return "it is worked in parts or after hours"
    if terms.validity is not Validity.DAY:
        return f"its {terms.validity} validity would begin anew"
    triggered = life.shown.status is not BookStatus.TRIGGER_PENDING
    if terms.order_type.has_trigger and life.terms.order_type.has_trigger and triggered:
        return "its stop may have been triggered"
    return None


async def _cancelled(life: OrderLife, inbox: Inbox) -> OrderReport | None:
    """The final row of the order, with all its trades counted and none of its end taken over; None: not in time.

    The order may fill meanwhile, which counts at once; an order that is filled is not replaced.
    """
    ends = workflow.now() + PATIENCE
    while True:
        result = await request_cancel(life)
        if result.report is None and result.outcome is not CallOutcome.NOT_AUTHENTICATED:
            result = await look_up(life)
        if result.outcome is CallOutcome.NOT_AUTHENTICATED:
            await wait_for_login(life, inbox, result)
            ends = workflow.now() + PATIENCE
            continue
        report = result.report
        if report is not None:
            # As if it worked still: what its end means is decided by whoever asked.
            life.observe(report.model_copy(update={"status": BookStatus.OPEN, "whole": False}))
            await life.flush()
            complete = life.progress.filled_quantity >= life.progress.base + report.filled_quantity
            if life.state not in WORKING or (report.status.is_final and complete):
                return report
        if workflow.now() >= ends:
            return None
        await inbox.wait(ASK_AGAIN, nudge=True)
        inbox.nudged = False
        await note_cancels(life, inbox)
