"""How an OrderWorkflow calls its broker: one activity on the broker's own queue, never retried by Temporal."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import Priority, RetryPolicy
from temporalio.exceptions import ActivityError

from workflows.order_life import OrderLife

with workflow.unsafe.imports_passed_through():
    from activities.messages import BrokerOrderInput, CallOutcome, CallResult, SubmitInput
    from activities.signatures import BrokerCalls
    from alphapanda.domain.evidence import Replaced
    from alphapanda.domain.execution import OrderChange, OrderRequest
    from alphapanda.domain.ids import broker_task_queue

ONCE = RetryPolicy(maximum_attempts=1)
HEARTBEAT_TIMEOUT = timedelta(seconds=5)
READ_TIMEOUT = timedelta(seconds=15)
READ_WAIT = timedelta(seconds=60)
"""A read that no worker takes in this time is given up: the order looks again later."""

URGENT = Priority(priority_key=1)
NORMAL = Priority(priority_key=3)


async def submit(life: OrderLife, send_before: datetime) -> CallResult:
    """Send the order. A dead worker, a time-out or a bug is AMBIGUOUS: only the book can tell."""
    if life.tag is None:
        raise ValueError("the tag is stored before anything is sent")
    life.attempt += 1
    # What earlier orders at the broker filled is not placed again.
    terms = life.terms.model_copy(update={"quantity": life.terms.quantity - life.progress.base})
    life.evidence.sent(life.attempt, life.tag, terms.summary, workflow.now())
    call = SubmitInput(
        request=OrderRequest(
            broker=life.order.broker,
            order_id=life.order.order_id,
            tag=life.tag,
            terms=terms,
            is_exit=life.is_exit,
        ),
        is_exit=life.is_exit,
        send_before=send_before,
        correlation_id=life.order.correlation_id,
        # An order that was retried after FAILED (its events go on from there) may have been sent in its earlier life.
        read_book_first=life.attempt > 1 or life.order.seq > 1,
    )
    try:
        return await workflow.execute_activity_method(
            BrokerCalls.submit_order,
            call,
            task_queue=broker_task_queue(life.order.broker),
            start_to_close_timeout=timedelta(seconds=life.policy.submit_timeout_s),
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=ONCE,
            priority=URGENT if life.is_exit else NORMAL,
        )
    except ActivityError as error:
        return CallResult(outcome=CallOutcome.AMBIGUOUS, message=_cause(error))


async def look_up(life: OrderLife, earlier: Replaced | None = None) -> CallResult:
    """The order's row in the broker's book, or that of an `earlier` order which it has replaced there.

    Anything that keeps us from reading it is UNAVAILABLE.
    """
    call = _order(life)
    if earlier is not None:
        call = call.model_copy(update={"tag": earlier.tag, "broker_order_id": earlier.broker_order_id})
    return await _call(BrokerCalls.look_up_order, life, call, NORMAL, unclear=CallOutcome.UNAVAILABLE)


async def request_cancel(life: OrderLife) -> CallResult:
    """Ask for a cancel, ahead of everything else in the queue. An unclear end is AMBIGUOUS: it is asked again."""
    return await _call(BrokerCalls.cancel_order, life, _order(life), URGENT, unclear=CallOutcome.AMBIGUOUS)


async def request_change(life: OrderLife, change: OrderChange) -> CallResult:
    """Ask for a modification. An unclear end is AMBIGUOUS: the book tells what became of it."""
    call = _order(life).model_copy(update={"change": change, "is_exit": life.is_exit})
    priority = URGENT if life.is_exit else NORMAL
    return await _call(BrokerCalls.modify_order, life, call, priority, unclear=CallOutcome.AMBIGUOUS)


async def _call(
    activity: Callable[[BrokerCalls, BrokerOrderInput], Awaitable[CallResult]],
    life: OrderLife,
    call: BrokerOrderInput,
    priority: Priority,
    *,
    unclear: CallOutcome,
) -> CallResult:
    """One short call about an order that was sent. Whatever Temporal makes of it, it ends as an outcome."""
    try:
        return await workflow.execute_activity_method(
            activity,
            call,
            task_queue=broker_task_queue(life.order.broker),
            schedule_to_start_timeout=READ_WAIT,
            start_to_close_timeout=READ_TIMEOUT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=ONCE,
            priority=priority,
        )
    except ActivityError as error:
        return CallResult(outcome=unclear, message=_cause(error))


def _order(life: OrderLife) -> BrokerOrderInput:
    if life.tag is None:
        raise ValueError("an order without a tag was never sent")
    return BrokerOrderInput(
        broker=life.order.broker,
        order_id=life.order.order_id,
        correlation_id=life.order.correlation_id,
        tag=life.tag,
        broker_order_id=life.broker_order_id,
    )


def _cause(error: ActivityError) -> str:
    cause = error.cause or error
    return f"{type(cause).__name__}: {cause}"
