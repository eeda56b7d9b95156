"""The rest of a market order that nobody fills: the broker makes a limit order of it, which stays open beyond the band.

What is done about it is the order's policy: wait, send it to the market again (a modification, with a fresh band) a
few times and then cancel it, or cancel it at once. Each step is an event of the order.
"""

from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

from workflows.changing import ask_for, check_change
from workflows.inbox import Inbox
from workflows.order_life import OrderLife
from workflows.reading import read

with workflow.unsafe.imports_passed_through():
    from activities.messages import CallOutcome
    from alphapanda.domain.execution import MAX_MODIFICATIONS, BookStatus, OrderChange
    from alphapanda.domain.reasons import ReasonCode, reason
    from alphapanda.domain.states import WORKING
    from alphapanda.domain.vocabulary import OrderType, UnfilledMarket, Variety

AT_LEAST = timedelta(seconds=1)
"""Between two looks at an order that is due, where the book cannot be read."""


def look_again_in(life: OrderLife, otherwise: timedelta) -> timedelta:
    """How long to wait before the order is looked at again: until its rest is due, if that comes first."""
    due = _due(life)
    return otherwise if due is None else min(otherwise, max(due - workflow.now(), AT_LEAST))


async def act(life: OrderLife, inbox: Inbox) -> None:
    """Carry out the policy where it is due. Only right after the book was read: it may have filled."""
    due = _due(life)
    if due is None or workflow.now() < due or life.shown is None or life.shown.status is not BookStatus.OPEN:
        return
    policy = life.policy
    may_reprice = life.reprices < policy.unfilled_market_reprices and life.modifications < MAX_MODIFICATIONS
    if policy.unfilled_market is UnfilledMarket.REPRICE and may_reprice:
        await _reprice(life, inbox)
        return
    filled = f"{life.progress.filled_quantity}/{life.progress.quantity}"
    life.mark(cancel_requested=True)
    life.note(reason(ReasonCode.UNFILLED_CANCELLED, filled=filled, reprices=life.reprices))
    await life.flush()


def _due(life: OrderLife) -> datetime | None:
    """When the rest of the order is to be acted on; None: not at all, as things are."""
    if life.policy.unfilled_market is UnfilledMarket.WAIT or life.cancel_requested or not _stays_open(life):
        life.unfilled_since = None
        return None
    life.unfilled_since = life.unfilled_since or workflow.now()
    return life.unfilled_since + timedelta(seconds=life.policy.unfilled_market_after_s)


def _stays_open(life: OrderLife) -> bool:
    if life.state not in WORKING:
        return False
    status = None if life.shown is None else life.shown.status
    if life.terms.variety is Variety.AMO and not life.progress.filled_quantity:
        return False  # it waits for the open; the book does not say whether that has been
    match life.terms.order_type:
        case OrderType.MARKET:
            return status in (None, BookStatus.OPEN)
        case OrderType.SL_M:
            return status is BookStatus.OPEN  # triggered
        case _:
            return False


async def _reprice(life: OrderLife, inbox: Inbox) -> None:
    life.reprices += 1
    life.unfilled_since = workflow.now()
    filled = f"{life.progress.filled_quantity}/{life.progress.quantity}"
    facts = {"filled": filled, "try": f"{life.reprices}/{life.policy.unfilled_market_reprices}"}
    change = OrderChange(order_type=OrderType.MARKET)
    try:
        checked = await check_change(life, change)
        refusal, terms = checked.refusal, checked.terms
    except ActivityError as error:
        refusal, terms = None, None
        facts["error"] = str(error.cause or error)
    if terms is None:
        life.note(reason(ReasonCode.UNFILLED_NOT_REPRICED, **facts, refusal=refusal or "not checked"))
        await life.flush()
        return
    result = await ask_for(life, change, terms)
    if result.outcome is CallOutcome.DONE:
        life.note(reason(ReasonCode.UNFILLED_REPRICED, **facts))
        life.change_terms(terms)
    else:
        life.note(reason(ReasonCode.UNFILLED_NOT_REPRICED, **facts, outcome=result.outcome, message=result.message))
    await read(life, inbox, result)
