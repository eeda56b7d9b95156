"""Starting workflows: ids, policies, search attributes and summaries of each kind, in one place."""

from datetime import timedelta

from temporalio.client import Client
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from activities.messages import BrokerInput, OrderInput
from alphapanda.domain.ids import ORDERS_TASK_QUEUE, Broker, broker_workflow_id, order_workflow_id
from alphapanda.domain.states import OrderState
from workflows.order_life import ORDER_STATE
from workflows.runtime import WorkflowsUnavailable

BROKER = SearchAttributeKey.for_keyword("Broker")
STRATEGY = SearchAttributeKey.for_keyword("Strategy")
INSTRUMENT = SearchAttributeKey.for_keyword("Instrument")
SIDE = SearchAttributeKey.for_keyword("Side")

TASK_TIMEOUT = timedelta(seconds=3)
"""Short, so that a killed worker's first task is taken over in seconds."""


async def start_order(client: Client, order: OrderInput) -> None:
    """Start the order's workflow; nothing happens where it runs or has ended. Raises WorkflowsUnavailable."""
    signal, broker = order.signal, order.broker
    attributes = [
        SearchAttributePair(BROKER, broker),
        SearchAttributePair(STRATEGY, signal.strategy_id),
        SearchAttributePair(INSTRUMENT, signal.instrument),
        SearchAttributePair(SIDE, str(signal.side)),
        SearchAttributePair(ORDER_STATE, str(OrderState.RECEIVED)),
    ]
    try:
        await client.start_workflow(
            "OrderWorkflow",
            order,
            id=order_workflow_id(broker, signal.signal_id),
            task_queue=ORDERS_TASK_QUEUE,
            # Only a failed one may run again (`retry`); the ledger's unique key guards beyond the retention.
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            task_timeout=TASK_TIMEOUT,
            request_eager_start=True,
            static_summary=f"{signal.summary} · {broker} · {signal.strategy_id}",
            search_attributes=TypedSearchAttributes(attributes),
        )
    except WorkflowAlreadyStartedError:
        pass  # it ran and ended: the signal was repeated
    except RPCError as error:
        raise WorkflowsUnavailable(f"Temporal did not start the order: {error.status.name}") from error


async def start_broker(client: Client, broker: Broker) -> None:
    """Make sure the broker's long-lived workflow runs. Raises WorkflowsUnavailable."""
    try:
        await client.start_workflow(
            "BrokerWorkflow",
            BrokerInput(broker=broker),
            id=broker_workflow_id(broker),
            task_queue=ORDERS_TASK_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            static_summary=f"session and switch of {broker}",
            search_attributes=TypedSearchAttributes([SearchAttributePair(BROKER, broker)]),
        )
    except RPCError as error:
        raise WorkflowsUnavailable(f"Temporal did not start the broker's workflow: {error.status.name}") from error
