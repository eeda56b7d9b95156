"""OrderWorkflow: one signal at one broker, from RECEIVED to its end. Reads like the business it does."""

import asyncio

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

from workflows.clearing import clear
from workflows.inbox import Inbox, refusal
from workflows.order_life import OrderLife
from workflows.sending import send
from workflows.tracking import track

with workflow.unsafe.imports_passed_through():
    from activities.messages import (
        RESOLUTIONS,
        ApproveCommand,
        CancelCommand,
        DenyCommand,
        ModifyCommand,
        OrderInput,
        OrderStatus,
        ResolveCommand,
    )
    from alphapanda.domain.reasons import ReasonCode, reason
    from alphapanda.domain.states import BEFORE_THE_WIRE, WORKING, OrderState


@workflow.defn(name="OrderWorkflow")
class OrderWorkflow:
    @workflow.init
    def __init__(self, order: OrderInput) -> None:
        self._life = OrderLife(order)
        self._inbox = Inbox()
        self._inbox.nudged = order.resumed is not None  # what came while the run changed hands is read now

    @workflow.run
    async def run(self, order: OrderInput) -> OrderStatus:
        life, inbox = self._life, self._inbox
        try:
            await self._unless_cancelled(asyncio.create_task(self._live(order)))
        except Exception as error:
            await self._fail(error)
        inbox.refuse_all("ORDER_ENDED", f"the order is {life.state}")
        await workflow.wait_condition(workflow.all_handlers_finished)
        if life.state is OrderState.FAILED:
            raise ApplicationError(str(life.reason), type=str(life.reason.code), non_retryable=True)
        return life.status()

    async def _unless_cancelled(self, living: "asyncio.Task[None]") -> None:
        """Temporal's own "request cancellation" becomes a cancel of the order.

        It must not tear the workflow from an order that is on the wire or rests at the broker: who cancels the
        workflow means the order. The life is a task of its own, which that cancellation does not reach.
        """
        asked = False
        while not living.done():
            try:
                await workflow.wait_condition(living.done)
            except asyncio.CancelledError:
                if asked or workflow.cancellation_reason() is None:
                    raise  # the worker lets go of the workflow, nobody cancelled it
                asked = True
                self._inbox.post(CancelCommand(actor="temporal"))
        await living

    async def _live(self, order: OrderInput) -> None:
        life, inbox = self._life, self._inbox
        # A login outage found while sending brings the order back to clearing: prices may have moved meanwhile.
        while life.state not in WORKING and not life.ended and await clear(life, inbox):
            await send(life, inbox)
        if life.state in WORKING or life.broker_order_id is not None:
            finished = await track(life, inbox)
            if not finished:
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new(order.model_copy(update={"resumed": life.snapshot()}))
        life.publish()

    async def _fail(self, error: Exception) -> None:
        """Keep an unexpected error with the order.

        Once the order may be at the broker it must not simply end: a plain exception fails the workflow task only,
        which Temporal shows and repeats until the fault is mended.
        """
        life = self._life
        cause = error.__cause__ or error
        if life.state not in BEFORE_THE_WIRE:
            raise RuntimeError(f"the order is {life.state} and cannot go on") from error
        life.enter(OrderState.FAILED, reason(ReasonCode.INTERNAL_ERROR, error=f"{type(cause).__name__}: {cause}"))
        life.publish()
        try:
            await life.flush()
        except ActivityError as unwritten:
            raise RuntimeError("the order failed, and the ledger refuses to record that") from unwritten

    @workflow.query
    def status(self) -> OrderStatus:
        """Where the order is, why, and what happens next."""
        return self._life.status()

    @workflow.signal
    def broker_update(self) -> None:
        """Something may have happened at the broker: read the book."""
        self._inbox.nudged = True

    @workflow.signal
    def session_restored(self) -> None:
        self._inbox.session_restored = True

    @workflow.update
    async def cancel(self, command: CancelCommand) -> OrderStatus:
        return await self._inbox.ask(command)

    @workflow.update
    async def modify(self, command: ModifyCommand) -> OrderStatus:
        return await self._inbox.ask(command)

    @workflow.update
    async def approve(self, command: ApproveCommand) -> OrderStatus:
        return await self._inbox.ask(command)

    @workflow.update
    async def deny(self, command: DenyCommand) -> OrderStatus:
        return await self._inbox.ask(command)

    @workflow.update
    async def resolve(self, command: ResolveCommand) -> OrderStatus:
        return await self._inbox.ask(command)

    @cancel.validator
    def _can_cancel(self, command: CancelCommand) -> None:
        self._must_live()
        if self._life.state is OrderState.PARKED:
            raise refusal("ORDER_PARKED", "the order is PARKED: its outcome is not known; resolve it first")

    @modify.validator
    def _can_modify(self, command: ModifyCommand) -> None:
        self._must_live()
        if self._life.state not in WORKING:
            raise refusal("ORDER_NOT_IN_STATE", f"the order is {self._life.state}: only a working order is modified")
        if command.change.is_empty:
            raise refusal("CHANGE_EMPTY", "name at least one field to change")

    @approve.validator
    def _can_approve(self, command: ApproveCommand) -> None:
        self._must_be(OrderState.AWAITING_APPROVAL)

    @deny.validator
    def _can_deny(self, command: DenyCommand) -> None:
        self._must_be(OrderState.AWAITING_APPROVAL)

    @resolve.validator
    def _can_resolve(self, command: ResolveCommand) -> None:
        self._must_be(OrderState.PARKED)
        if command.state not in RESOLUTIONS:
            allowed = ", ".join(sorted(RESOLUTIONS))
            raise refusal("RESOLVE_STATE_IMPOSSIBLE", f"state: one of {allowed}, not {command.state}")

    def _must_live(self) -> None:
        if self._life.ended:
            raise refusal("ORDER_ENDED", f"the order is {self._life.state}")

    def _must_be(self, state: OrderState) -> None:
        self._must_live()
        if self._life.state is not state:
            raise refusal("ORDER_NOT_IN_STATE", f"the order is {self._life.state}, not {state}")
