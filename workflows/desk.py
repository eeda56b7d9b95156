"""The order desk: what API, feed and CLI use to start orders, command them and ask about them.

The ledger comes first, then the workflow: a crash between the two leaves a RECEIVED order that the orders worker
starts (`start_unstarted`), so an accepted signal is never lost, and a workflow id is started once.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import structlog
from temporalio.client import (
    Client,
    WorkflowHandle,
    WorkflowUpdateFailedError,
    WorkflowUpdateRPCTimeoutOrCancelledError,
)
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import ApplicationError, WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.messages import (
    ApproveCommand,
    BrokerInput,
    BrokerStatus,
    CancelCommand,
    DenyCommand,
    ModifyCommand,
    OrderInput,
    OrderPolicy,
    OrderStatus,
    ResolveCommand,
    SessionCommand,
    SwitchCommand,
)
from alphapanda.domain.errors import AlphaPandaError
from alphapanda.domain.ids import (
    ORDERS_TASK_QUEUE,
    Broker,
    OrderId,
    SignalId,
    WorkflowId,
    broker_workflow_id,
    order_workflow_id,
    parse_order_id,
)
from alphapanda.domain.signal import Signal
from alphapanda.domain.states import TERMINAL, OrderState
from alphapanda.domain.vocabulary import TradingSwitch
from alphapanda.ledger.brokers import read_broker_state, set_switch
from alphapanda.ledger.engine import LedgerEngine
from alphapanda.ledger.intake import SignalConflict, record_signal, recorded_signal, unstarted_orders
from alphapanda.ledger.retrying import receive_again
from alphapanda.ledger.tracked import order_state
from alphapanda.settings import Settings
from workflows.order_life import ORDER_STATE
from workflows.runtime import WorkflowsUnavailable

__all__ = ["Accepted", "AcceptedOrder", "CommandRefused", "OrderDesk", "OrderUnknown", "SignalConflict"]

log = structlog.get_logger(__name__)

T = TypeVar("T")

_BROKER = SearchAttributeKey.for_keyword("Broker")
_STRATEGY = SearchAttributeKey.for_keyword("Strategy")
_INSTRUMENT = SearchAttributeKey.for_keyword("Instrument")
_SIDE = SearchAttributeKey.for_keyword("Side")

_SWITCH_UPDATES = {
    TradingSwitch.ENABLED: "resume",
    TradingSwitch.EXITS_ONLY: "exits_only",
    TradingSwitch.HALTED: "halt",
}
_UPDATE_TIMEOUT = timedelta(seconds=20)
_TASK_TIMEOUT = timedelta(seconds=3)
"""Short, so that a killed worker's first task is taken over in seconds."""


class OrderUnknown(AlphaPandaError):  # noqa: N818 - named for the condition
    code = "ORDER_UNKNOWN"
    default_next_action = "Check the order_id: it is `broker:signal_id`."


class CommandRefused(AlphaPandaError):  # noqa: N818
    """The order's workflow refused the command; `refusal_code` says why in a stable word."""

    code = "ORDER_COMMAND_REFUSED"
    default_next_action = "Look at the order's state; the command does not fit it."

    def __init__(self, message: str, *, refusal_code: str) -> None:
        super().__init__(message)
        self.refusal_code = refusal_code


class _NotRunning(Exception):  # noqa: N818
    """No workflow of that id is open."""


@dataclass(frozen=True, slots=True)
class AcceptedOrder:
    order_id: OrderId
    broker: Broker
    workflow_id: WorkflowId
    state: OrderState


@dataclass(frozen=True, slots=True)
class Accepted:
    """`created` is False when the signal was known already; its orders are given as they stand."""

    signal_id: SignalId
    created: bool
    orders: tuple[AcceptedOrder, ...]


def order_policy(settings: Settings) -> OrderPolicy:
    orders = settings.orders.model_dump()
    return OrderPolicy(**orders, send_within_s=settings.risk.signal_max_age_s)


class OrderDesk:
    """Starts and commands orders. `client` should also run an orders worker in this process, for the eager start."""

    def __init__(
        self,
        client: Client,
        engine: LedgerEngine,
        policy: OrderPolicy,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._client = client
        self._engine = engine
        self._policy = policy
        self._now = now

    async def accept(self, signal: Signal, *, correlation_id: str) -> Accepted:
        """Record the signal and start one OrderWorkflow per broker. Raises SignalConflict.

        Safe to repeat and to race: one signal makes one order per broker. Once recorded it is accepted: where Temporal
        does not answer, the orders stay RECEIVED and are started when it does (`start_unstarted`).
        """
        recorded = await record_signal(self._engine, signal, correlation_id=correlation_id, now=self._now())
        fresh = [order for order in recorded.orders if order.state is OrderState.RECEIVED]
        started = await asyncio.gather(
            *(self._start(signal, order.broker, order.order_id, order.seq, recorded.correlation_id) for order in fresh),
            return_exceptions=True,
        )
        for outcome in started:
            if isinstance(outcome, WorkflowsUnavailable):
                log.warning("accepted, to be started later", signal_id=signal.signal_id, error=str(outcome))
            elif isinstance(outcome, BaseException):
                raise outcome
        return Accepted(
            signal_id=signal.signal_id,
            created=recorded.created,
            orders=tuple(
                AcceptedOrder(
                    order.order_id, order.broker, order_workflow_id(order.broker, signal.signal_id), order.state
                )
                for order in recorded.orders
            ),
        )

    async def start_unstarted(self, brokers: Sequence[Broker], *, older_than: timedelta) -> int:
        """Start the workflows of orders whose process died between ledger and start; returns how many were tried."""
        orphans = await unstarted_orders(self._engine, brokers, before=self._now() - older_than)
        for orphan in orphans:
            await self._start(orphan.signal, orphan.broker, orphan.order_id, orphan.seq, orphan.correlation_id)
        return len(orphans)

    async def _start(self, signal: Signal, broker: Broker, order_id: OrderId, seq: int, correlation_id: str) -> None:
        order = OrderInput(
            signal=signal,
            broker=broker,
            order_id=order_id,
            correlation_id=correlation_id,
            policy=self._policy,
            seq=seq,
        )
        try:
            await self._client.start_workflow(
                "OrderWorkflow",
                order,
                id=order_workflow_id(broker, signal.signal_id),
                task_queue=ORDERS_TASK_QUEUE,
                # Only a failed one may run again (`retry`); the ledger's unique key guards beyond the retention.
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE_FAILED_ONLY,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                task_timeout=_TASK_TIMEOUT,
                request_eager_start=True,
                static_summary=f"{signal.summary} · {broker} · {signal.strategy_id}",
                search_attributes=TypedSearchAttributes(
                    [
                        SearchAttributePair(_BROKER, broker),
                        SearchAttributePair(_STRATEGY, signal.strategy_id),
                        SearchAttributePair(_INSTRUMENT, signal.instrument),
                        SearchAttributePair(_SIDE, str(signal.side)),
                        SearchAttributePair(ORDER_STATE, str(OrderState.RECEIVED)),
                    ]
                ),
            )
        except WorkflowAlreadyStartedError:
            pass  # it ran and ended: the signal was repeated
        except RPCError as error:
            # Recorded, so nothing is lost: the sweep starts it once Temporal answers again.
            raise WorkflowsUnavailable(f"Temporal did not start the order: {error.status.name}") from error

    async def cancel(self, order_id: OrderId, command: CancelCommand) -> OrderStatus:
        return await self._command(order_id, "cancel", command)

    async def modify(self, order_id: OrderId, command: ModifyCommand) -> OrderStatus:
        return await self._command(order_id, "modify", command)

    async def approve(self, order_id: OrderId, command: ApproveCommand) -> OrderStatus:
        return await self._command(order_id, "approve", command)

    async def deny(self, order_id: OrderId, command: DenyCommand) -> OrderStatus:
        return await self._command(order_id, "deny", command)

    async def resolve(self, order_id: OrderId, command: ResolveCommand) -> OrderStatus:
        return await self._command(order_id, "resolve", command)

    async def retry(self, order_id: OrderId, *, actor: str) -> AcceptedOrder:
        """Start a FAILED order again. Raises OrderUnknown, CommandRefused."""
        broker, signal_id = parse_order_id(order_id)
        signal = await recorded_signal(self._engine, signal_id)
        if signal is None:
            raise OrderUnknown(f"order_id: there is no order {order_id!r}")
        again = await receive_again(self._engine, order_id, actor=actor, now=self._now())
        if again is None:
            raise CommandRefused("only a FAILED order is retried", refusal_code="ORDER_NOT_IN_STATE")
        await self._start(signal, broker, order_id, again.seq, again.correlation_id)
        return AcceptedOrder(order_id, broker, order_workflow_id(broker, signal_id), OrderState.RECEIVED)

    async def status(self, order_id: OrderId, *, timeout_s: float = 2.0) -> OrderStatus | None:
        """What the order's workflow says of it; None when there is none or no worker answers in time."""
        return await self._ask(self._order(order_id), timeout_s, OrderStatus)

    async def nudge(self, workflow_id: str) -> bool:
        """Tell a workflow to read the broker's book; False when it has ended."""
        try:
            await self._client.get_workflow_handle(workflow_id).signal("broker_update")
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise WorkflowsUnavailable(f"Temporal did not take the nudge: {error.status.name}") from error
        return True

    async def ensure_broker(self, broker: Broker) -> None:
        """Make sure the broker's long-lived workflow runs."""
        await self._client.start_workflow(
            "BrokerWorkflow",
            BrokerInput(broker=broker),
            id=broker_workflow_id(broker),
            task_queue=ORDERS_TASK_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            static_summary=f"session and switch of {broker}",
            search_attributes=TypedSearchAttributes([SearchAttributePair(_BROKER, broker)]),
        )

    async def set_switch(self, broker: Broker, switch: TradingSwitch, command: SwitchCommand) -> BrokerStatus:
        """Change the switch. A tightening is written to the ledger first: it holds even while no worker runs."""
        if switch is not TradingSwitch.ENABLED:
            await set_switch(self._engine, broker, switch, actor=command.actor, reason=command.reason, at=self._now())
        try:
            return await self._update_broker(broker, _SWITCH_UPDATES[switch], command)
        except WorkflowsUnavailable:
            state = await read_broker_state(self._engine, broker)
            if switch is TradingSwitch.ENABLED or state is None:
                raise
        # No worker answers, yet it holds: every send asks the ledger. The workflow learns it when a worker is back.
        await self._client.get_workflow_handle(broker_workflow_id(broker)).signal("switch_was_set", switch)
        return BrokerStatus(
            broker=broker,
            session=state.session,
            session_since=state.session_since,
            switch=state.switch,
            waiting_orders=None,
        )

    async def session_opened(self, broker: Broker, command: SessionCommand) -> BrokerStatus:
        return await self._update_broker(broker, "session_opened", command)

    async def session_lost(self, broker: Broker, command: SessionCommand) -> BrokerStatus:
        return await self._update_broker(broker, "session_lost", command)

    async def broker_status(self, broker: Broker, *, timeout_s: float = 2.0) -> BrokerStatus | None:
        handle = self._client.get_workflow_handle(broker_workflow_id(broker))
        return await self._ask(handle, timeout_s, BrokerStatus)

    def _order(self, order_id: OrderId) -> WorkflowHandle[Any, Any]:
        broker, signal_id = parse_order_id(order_id)
        return self._client.get_workflow_handle(order_workflow_id(broker, signal_id))

    async def _command(self, order_id: OrderId, name: str, command: Any) -> OrderStatus:
        try:
            return await self._update(self._order(order_id), name, command, OrderStatus)
        except _NotRunning:
            state = await order_state(self._engine, order_id)
        if state is None:
            raise OrderUnknown(f"order_id: there is no order {order_id!r}")
        if state in TERMINAL:
            raise CommandRefused(f"the order is {state}", refusal_code="ORDER_ENDED")
        raise WorkflowsUnavailable(f"the order is {state} and its workflow is not running yet")

    async def _update(self, handle: WorkflowHandle[Any, Any], name: str, command: Any, answers: type[T]) -> T:
        try:
            answer: T = await handle.execute_update(name, command, result_type=answers, rpc_timeout=_UPDATE_TIMEOUT)
        except WorkflowUpdateFailedError as error:
            cause = error.cause
            code = cause.type if isinstance(cause, ApplicationError) and cause.type else "ORDER_COMMAND_REFUSED"
            said = cause.message if isinstance(cause, ApplicationError) else str(cause)
            raise CommandRefused(said, refusal_code=code) from error
        except WorkflowUpdateRPCTimeoutOrCancelledError as error:
            raise WorkflowsUnavailable("no worker answered in time; the command may still be carried out") from error
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                raise _NotRunning from error
            raise WorkflowsUnavailable(f"Temporal did not take the command: {error.status.name}") from error
        return answer

    async def _update_broker(self, broker: Broker, name: str, command: Any) -> BrokerStatus:
        handle = self._client.get_workflow_handle(broker_workflow_id(broker))
        try:
            return await self._update(handle, name, command, BrokerStatus)
        except _NotRunning:
            await self.ensure_broker(broker)
            return await self._update(handle, name, command, BrokerStatus)

    async def _ask(self, handle: WorkflowHandle[Any, Any], timeout_s: float, answers: type[T]) -> T | None:
        try:
            answer: T = await handle.query("status", result_type=answers, rpc_timeout=timedelta(seconds=timeout_s))
        except RPCError:
            return None
        return answer
