"""Workflows that live long continue as new, and keep everything: state, fills, flags, who waits, what people see."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from temporalio.client import Client

from activities.messages import CancelCommand, ModifyCommand, SessionCommand, SwitchCommand
from alphapanda.domain.execution import MAX_MODIFICATIONS, OrderChange
from alphapanda.domain.ids import OrderId
from alphapanda.domain.states import OrderState
from alphapanda.domain.vocabulary import SessionState, TradingSwitch
from alphapanda.stack.temporal import TemporalServer
from tests.rehearsal import PAPER, Rehearsal
from tests.workflow.conftest import Rehearse
from tests.workflow.support import details, eventually, resting, sell, status
from workflows.runtime import plugin

S = OrderState
ANNA = "anna"


@pytest.fixture(scope="module")
async def temporal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    """A server that suggests to continue as new after 40 events instead of thousands."""
    folder = tmp_path_factory.mktemp("short-histories")
    (folder / "logs").mkdir()
    short = {"limit.historyCount.suggestContinueAsNew": "40"}
    server = TemporalServer(folder, ui_port=None, durable=False, dynamic_config=short)
    await server.start()
    try:
        yield await Client.connect(server.address, plugins=[plugin()])
    finally:
        await server.stop()


async def run_of(desk: Rehearsal, workflow_id: str) -> str:
    return str((await desk.client.get_workflow_handle(workflow_id).describe()).run_id)


async def grow_old(desk: Rehearsal, order: OrderId) -> None:
    """Nudge the order until it runs under a new run id."""
    workflow_id = f"order:{order}"
    first = await run_of(desk, workflow_id)

    async def renewed() -> bool:
        await desk.desk.nudge(workflow_id)
        await status(desk, order)  # the nudge has been taken
        return await run_of(desk, workflow_id) != first

    await eventually(renewed)


async def test_a_long_lived_order_keeps_everything_when_it_continues_as_new(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    change = OrderChange(quantity=12, price=Decimal("1401.00"))
    await rehearsal.desk.modify(order, ModifyCommand(actor=ANNA, change=change))
    await rehearsal.quote(1400.5, volume=4)
    await rehearsal.until(order, S.PARTIALLY_FILLED)
    before = await status(rehearsal, order)
    for _ in range(3):
        await grow_old(rehearsal, order)
    assert await status(rehearsal, order) == before
    description = await rehearsal.client.get_workflow_handle(f"order:{order}").describe()
    shown = {pair.key.name: pair.value for pair in description.typed_search_attributes}
    assert (shown["OrderState"], shown["Broker"], shown["Instrument"]) == ("PARTIALLY_FILLED", "paper", "NSE:INFY")
    # Temporal does not carry the static summary into the next run, so the details begin with it.
    assert "BUY 10 NSE:INFY @ 1400.00 · paper · test" in await details(rehearsal, f"order:{order}")

    # The terms as they were last changed are what a further change builds on.
    answer = await rehearsal.desk.modify(order, ModifyCommand(actor=ANNA, change=OrderChange(quantity=11)))
    assert (answer.quantity, answer.filled_quantity) == (11, 4)
    assert (await rehearsal.row(order)).price == Decimal("1401.00")
    await rehearsal.quote(1400.5)
    row = await rehearsal.until(order, S.FILLED)
    assert row.filled_quantity == 11
    assert await rehearsal.scalar("SELECT count(*) FROM fills") == 2


async def test_commands_and_nudges_that_meet_a_change_of_run_are_not_lost(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)

    async def nudges() -> None:
        for _ in range(60):
            await rehearsal.desk.nudge(f"order:{order}")

    async def changes() -> None:
        for quantity in range(11, 31):
            change = OrderChange(quantity=quantity)
            await rehearsal.desk.modify(order, ModifyCommand(actor=ANNA, change=change))

    await asyncio.gather(nudges(), changes())
    row = await rehearsal.row(order)
    assert row.quantity == 30
    answer = await rehearsal.desk.cancel(order, CancelCommand(actor=ANNA))
    assert answer.state is S.CANCELLED


async def test_a_fill_during_the_change_of_run_is_found(rehearsal: Rehearsal) -> None:
    orders = [await resting(rehearsal) for _ in range(3)]

    async def pester(order: OrderId) -> None:
        for _ in range(40):
            await rehearsal.desk.nudge(f"order:{order}")

    async def fill() -> None:
        await grow_old(rehearsal, orders[0])
        await rehearsal.quote(1399.0)

    await asyncio.gather(*(pester(order) for order in orders), fill())
    for order in orders:
        await rehearsal.until(order, S.FILLED)


async def test_the_brokers_workflow_keeps_session_switch_and_who_waits(rehearse_with: Rehearse) -> None:
    async with rehearse_with() as desk:
        await desk.until(await desk.send(quantity=5), S.FILLED)
        await desk.desk.session_lost(PAPER, SessionCommand(actor=ANNA))
        orders = [await desk.send(quantity=2), await desk.send(**sell(5))]
        for order in orders:
            await desk.until(order, S.AWAITING_AUTH)
        first = await run_of(desk, "broker:paper")

        async def renewed() -> bool:
            await desk.desk.set_switch(PAPER, TradingSwitch.HALTED, SwitchCommand(actor=ANNA, reason="halt"))
            await desk.desk.set_switch(PAPER, TradingSwitch.ENABLED, SwitchCommand(actor=ANNA))
            return await run_of(desk, "broker:paper") != first

        for _ in range(2):
            await eventually(renewed)
            first = await run_of(desk, "broker:paper")
        await desk.desk.set_switch(PAPER, TradingSwitch.EXITS_ONLY, SwitchCommand(actor=ANNA))
        known = await desk.desk.broker_status(PAPER)
        assert known is not None
        assert (known.session, known.switch) == (SessionState.EXPIRED, TradingSwitch.EXITS_ONLY)
        assert known.waiting_orders == 2
        await desk.desk.set_switch(PAPER, TradingSwitch.ENABLED, SwitchCommand(actor=ANNA))
        await desk.desk.session_opened(PAPER, SessionCommand(actor=ANNA))
        for order in orders:
            await desk.until(order, S.FILLED)


async def test_a_replaced_order_is_the_same_order_after_it_continued_as_new(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    for number in range(MAX_MODIFICATIONS + 1):
        if number == MAX_MODIFICATIONS:
            await rehearsal.quote(1399.0, volume=4)
            await rehearsal.until(order, S.PARTIALLY_FILLED)
        change = OrderChange(price=Decimal(1400 + (number + 1) % 2))
        await rehearsal.desk.modify(order, ModifyCommand(actor=ANNA, change=change))
    await rehearsal.until(order, S.PARTIALLY_FILLED)
    evidence = (await rehearsal.row(order)).evidence
    await grow_old(rehearsal, order)
    await rehearsal.quote(1399.0)
    row = await rehearsal.until(order, S.FILLED)
    assert (row.filled_quantity, row.quantity, row.evidence) == (10, 10, evidence)
