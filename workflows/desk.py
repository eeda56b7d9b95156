"""The order desk: what API, feed and CLI use to start orders, command them and ask about them.

The ledger comes first, then the workflow: a crash between the two leaves a RECEIVED order that the orders worker
starts (`start_unstarted`), so an accepted signal is never lost, and a workflow id is started once.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from temporalio.client import Client, WorkflowHandle

from activities.messages import (
    ApproveCommand,
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
    Broker,
    OrderId,
    SignalId,
    WorkflowId,
    broker_workflow_id,
    order_workflow_id,
    parse_order_id,
)
from alphapanda.domain.ids import order_id as make_order_id
from alphapanda.domain.signal import Signal
from alphapanda.domain.states import TERMINAL, OrderState
from alphapanda.domain.vocabulary import TradingSwitch
from alphapanda.ledger.brokers import read_broker_state, set_switch
from alphapanda.ledger.engine import LedgerEngine
from alphapanda.ledger.intake import Recorded, SignalConflict, record_signal, recorded_signal, unstarted_orders
from alphapanda.ledger.retrying import receive_again
from alphapanda.ledger.tracked import order_state
from alphapanda.settings import Settings
from workflows.commanding import CommandRefused, NotRunning, ask, leave_signal, update
from workflows.runtime import WorkflowsUnavailable
from workflows.starting import start_broker, start_order

__all__ = ["Accepted", "AcceptedOrder", "CommandRefused", "OrderDesk", "OrderUnknown", "SignalConflict"]

log = structlog.get_logger(__name__)

_SWITCH_UPDATES = {
    TradingSwitch.ENABLED: "resume",
    TradingSwitch.EXITS_ONLY: "exits_only",
    TradingSwitch.HALTED: "halt",
}


class OrderUnknown(AlphaPandaError):  # noqa: N818 - named for the condition
    code = "ORDER_UNKNOWN"
    default_next_action = "Check the order_id: it is `broker:signal_id`."


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
        recorded = await self.record(signal, correlation_id=correlation_id)
        await self.start(signal, recorded)
        return Accepted(
            signal_id=signal.signal_id,
            created=recorded.created,
            orders=tuple(_accepted(order.broker, signal.signal_id, order.state) for order in recorded.orders),
        )

    async def record(self, signal: Signal, *, correlation_id: str) -> Recorded:
        """The first half of `accept`: from here on the signal is accepted. Raises SignalConflict."""
        return await record_signal(self._engine, signal, correlation_id=correlation_id, now=self._now())

    async def start(self, signal: Signal, recorded: Recorded) -> None:
        """The second half: the workflows of the orders that have none yet."""
        fresh = [order for order in recorded.orders if order.state is OrderState.RECEIVED]
        await asyncio.gather(
            *(self._start(signal, order.broker, order.seq, recorded.correlation_id) for order in fresh)
        )

    async def start_unstarted(self, brokers: Sequence[Broker], *, older_than: timedelta) -> int:
        """Start the workflows of orders whose process died between ledger and start; returns how many were tried."""
        orphans = await unstarted_orders(self._engine, brokers, before=self._now() - older_than)
        for orphan in orphans:
            await self._start(orphan.signal, orphan.broker, orphan.seq, orphan.correlation_id)
        return len(orphans)

    async def _start(self, signal: Signal, broker: Broker, seq: int, correlation_id: str) -> None:
        """Start a recorded order. Where Temporal does not answer it stays RECEIVED, and the sweep starts it later."""
        order = OrderInput(
            signal=signal,
            broker=broker,
            order_id=make_order_id(broker, signal.signal_id),
            correlation_id=correlation_id,
            policy=self._policy,
            seq=seq,
        )
        try:
            await start_order(self._client, order)
        except WorkflowsUnavailable as error:
            log.warning("accepted, to be started later", order_id=order.order_id, broker=broker, error=str(error))

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
        await self._start(signal, broker, again.seq, again.correlation_id)
        return _accepted(broker, signal_id, OrderState.RECEIVED)

    async def status(self, order_id: OrderId, *, timeout_s: float = 2.0) -> OrderStatus | None:
        """What the order's workflow says of it; None when there is none or no worker answers in time."""
        return await ask(self._order(order_id), timeout_s, OrderStatus)

    async def nudge(self, workflow_id: str) -> bool:
        """Tell a workflow to read the broker's book; False when it has ended."""
        try:
            await leave_signal(self._client.get_workflow_handle(workflow_id), "broker_update")
        except NotRunning:
            return False
        return True

    async def ensure_broker(self, broker: Broker) -> None:
        """Make sure the broker's long-lived workflow runs."""
        await start_broker(self._client, broker)

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
            # Nobody answers, yet it holds: every send asks the ledger. The workflow learns it when a worker is back.
            with contextlib.suppress(WorkflowsUnavailable, NotRunning):
                await leave_signal(self._broker(broker), "switch_was_set", switch)
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
        return await ask(self._broker(broker), timeout_s, BrokerStatus)

    def _broker(self, broker: Broker) -> WorkflowHandle[Any, Any]:
        return self._client.get_workflow_handle(broker_workflow_id(broker))

    def _order(self, order_id: OrderId) -> WorkflowHandle[Any, Any]:
        broker, signal_id = parse_order_id(order_id)
        return self._client.get_workflow_handle(order_workflow_id(broker, signal_id))

    async def _command(self, order_id: OrderId, name: str, command: Any) -> OrderStatus:
        try:
            return await update(self._order(order_id), name, command, OrderStatus)
        except NotRunning:
            state = await order_state(self._engine, order_id)
        if state is None:
            raise OrderUnknown(f"order_id: there is no order {order_id!r}")
        if state in TERMINAL:
            raise CommandRefused(f"the order is {state}", refusal_code="ORDER_ENDED")
        raise WorkflowsUnavailable(f"the order is {state} and its workflow is not running yet")

    async def _update_broker(self, broker: Broker, name: str, command: Any) -> BrokerStatus:
        try:
            return await update(self._broker(broker), name, command, BrokerStatus)
        except NotRunning:
            await self.ensure_broker(broker)
            return await update(self._broker(broker), name, command, BrokerStatus)


def _accepted(broker: Broker, signal_id: SignalId, state: OrderState) -> AcceptedOrder:
    return AcceptedOrder(make_order_id(broker, signal_id), broker, order_workflow_id(broker, signal_id), state)
