"""BrokerWorkflow: one per broker, for ever. Holds its session, its switch, and the orders that wait for a login."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from activities.messages import (
        BrokerInput,
        BrokerStatus,
        SessionCommand,
        SessionInput,
        SwitchCommand,
        SwitchInput,
        WaitingOrder,
    )
    from activities.signatures import LedgerSteps
    from alphapanda.domain.vocabulary import SessionState, TradingSwitch

LEDGER_TIMEOUT = timedelta(seconds=10)
LEDGER_RETRY = RetryPolicy(initial_interval=timedelta(milliseconds=200), maximum_interval=timedelta(seconds=10))

HEAD_START = timedelta(seconds=1)
HEAD_START_EACH = timedelta(milliseconds=20)
MAX_HEAD_START = timedelta(seconds=30)
"""How much later than the exits the entries are woken: by then the exits are in the broker's queue, which serves them
first."""

WOKEN_AT_ONCE = 100
"""Well below the signals that Temporal lets one workflow have under way."""


@workflow.defn(name="BrokerWorkflow")
class BrokerWorkflow:
    @workflow.init
    def __init__(self, broker: BrokerInput) -> None:
        self._broker = broker.broker
        self._session = broker.session
        self._session_since = broker.session_since
        self._switch = broker.switch
        self._waiting = {order.workflow_id: order for order in broker.waiting}
        self._to_wake: list[WaitingOrder] = []
        self._writing = 0
        self._session_turn = asyncio.Lock()

    @workflow.run
    async def run(self, broker: BrokerInput) -> None:
        self._describe()
        while not workflow.info().is_continue_as_new_suggested():
            await workflow.wait_condition(lambda: self._can_wake() or workflow.info().is_continue_as_new_suggested())
            if self._can_wake():
                await self._wake()
        await workflow.wait_condition(workflow.all_handlers_finished)
        await self._wake()
        workflow.continue_as_new(self._as_input())

    def _can_wake(self) -> bool:
        """An order that wakes asks the ledger for the session, so it is woken once that is written."""
        return bool(self._to_wake) and not self._writing

    async def _wake(self) -> None:
        """Risk first: exits before entries, each in the order in which they began to wait."""
        waking, self._to_wake = sorted(self._to_wake, key=lambda each: each.lost_at), []
        exits, entries = [each for each in waking if each.is_exit], [each for each in waking if not each.is_exit]
        await self._wake_each(exits)
        if exits and entries and workflow.patched("exits-have-a-head-start"):
            await workflow.sleep(min(HEAD_START + HEAD_START_EACH * len(exits), MAX_HEAD_START))
        await self._wake_each(entries)

    async def _wake_each(self, orders: Sequence[WaitingOrder]) -> None:
        """In their order. Many at a time: one after the other, a hundred would wait for as many round trips."""
        at_once = WOKEN_AT_ONCE if orders and workflow.patched("many-are-woken-at-once") else 1
        for first in range(0, len(orders), at_once):
            await asyncio.gather(*(self._wake_one(order) for order in orders[first : first + at_once]))

    async def _wake_one(self, order: WaitingOrder) -> None:
        try:
            await workflow.get_external_workflow_handle(order.workflow_id).signal("session_restored")
        except Exception as error:
            workflow.logger.info("a waiting order is gone: %s", order.workflow_id, exc_info=error)

    @workflow.signal
    async def order_waiting(self, order: WaitingOrder) -> None:
        """An order found the session dead. A login later than that wakes it at once."""
        if self._session is SessionState.ACTIVE and self._session_since and self._session_since > order.lost_at:
            self._to_wake.append(order)
            return
        self._waiting[order.workflow_id] = order
        self._describe()
        if not self._session.needs_login:
            await self._set_session(SessionState.EXPIRED, "order", "a call found the session dead", order.lost_at)

    @workflow.update
    async def session_opened(self, command: SessionCommand) -> BrokerStatus:
        if await self._set_session(
            SessionState.ACTIVE, command.actor, command.detail, command.at, unless=lambda: self._died_after(command.at)
        ):
            self._to_wake.extend(self._waiting.values())
            self._waiting.clear()
            self._describe()
        return self.status()

    @workflow.update
    async def session_lost(self, command: SessionCommand) -> BrokerStatus:
        await self._set_session(
            command.state, command.actor, command.detail, command.at, unless=lambda: self._is_no_loss(command.at)
        )
        return self.status()

    def _died_after(self, seen_alive: datetime | None) -> bool:
        """Whether the session was found dead later than it was seen alive."""
        since = self._session_since
        return seen_alive is not None and self._session.needs_login and since is not None and seen_alive <= since

    def _is_no_loss(self, seen_dead: datetime | None) -> bool:
        """Whether the loss is known already, or is that of a session which a login has replaced since."""
        if seen_dead is None:
            return False
        since = self._session_since
        replaced = self._session is SessionState.ACTIVE and since is not None and seen_dead < since
        return replaced or self._session.needs_login

    @workflow.update
    async def halt(self, command: SwitchCommand) -> BrokerStatus:
        return await self._set_switch(TradingSwitch.HALTED, command)

    @workflow.update
    async def exits_only(self, command: SwitchCommand) -> BrokerStatus:
        return await self._set_switch(TradingSwitch.EXITS_ONLY, command)

    @workflow.update
    async def resume(self, command: SwitchCommand) -> BrokerStatus:
        return await self._set_switch(TradingSwitch.ENABLED, command)

    @workflow.signal
    def switch_was_set(self, switch: TradingSwitch) -> None:
        """The switch was tightened in the ledger while no worker could answer an update."""
        self._switch = switch
        self._describe()

    @workflow.query
    def status(self) -> BrokerStatus:
        return BrokerStatus(
            broker=self._broker,
            session=self._session,
            session_since=self._session_since,
            switch=self._switch,
            waiting_orders=len(self._waiting),
        )

    async def _set_session(
        self,
        session: SessionState,
        actor: str,
        detail: str,
        at: datetime | None = None,
        *,
        unless: Callable[[], bool] = lambda: False,
    ) -> bool:
        """False when it is old news: `unless` is asked when all that was learned before is taken in."""
        self._writing += 1
        # One at a time, in the order in which they were learned: the ledger keeps what was written last.
        async with self._session_turn:
            is_news = not unless()
            if is_news:
                self._session, self._session_since = session, at or workflow.now()
                self._describe()
                step = SessionInput(
                    broker=self._broker, session=session, actor=actor, detail=detail, at=self._session_since
                )
                await workflow.execute_local_activity_method(
                    LedgerSteps.set_session, step, start_to_close_timeout=LEDGER_TIMEOUT, retry_policy=LEDGER_RETRY
                )
        self._writing -= 1
        return is_news

    async def _set_switch(self, switch: TradingSwitch, command: SwitchCommand) -> BrokerStatus:
        self._switch = switch
        self._describe()
        step = SwitchInput(broker=self._broker, switch=switch, actor=command.actor, reason=command.reason)
        await workflow.execute_local_activity_method(
            LedgerSteps.set_switch, step, start_to_close_timeout=LEDGER_TIMEOUT, retry_policy=LEDGER_RETRY
        )
        return self.status()

    def _describe(self) -> None:
        since = f" since {self._session_since:%Y-%m-%d %H:%M:%S} UTC" if self._session_since else ""
        workflow.set_current_details(
            f"**{self._broker}**\n- session: {self._session}{since}\n- switch: {self._switch}\n"
            f"- orders waiting for a login: {len(self._waiting)}"
        )

    def _as_input(self) -> BrokerInput:
        return BrokerInput(
            broker=self._broker,
            session=self._session,
            session_since=self._session_since,
            switch=self._switch,
            waiting=tuple(self._waiting.values()),
        )
