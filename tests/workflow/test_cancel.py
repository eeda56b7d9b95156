"""A cancel is a request: before the wire it ends the order, at the exchange it is asked for until the book agrees."""

import asyncio
from decimal import Decimal

import pytest

from activities.messages import CancelCommand, SwitchCommand
from alphapanda.brokers.paper.faults import PaperFault
from alphapanda.domain.ids import OrderId
from alphapanda.domain.states import OrderState
from alphapanda.domain.vocabulary import OrderType, TradingSwitch
from tests.rehearsal import PAPER, Rehearsal, broker_worker_of
from tests.workflow.conftest import Rehearse
from tests.workflow.support import (
    arm,
    at_exchange,
    edit_book,
    eventually,
    fill_behind,
    refused,
    resting,
    sell,
    status,
)

S = OrderState
ANNA = "anna"
CANCEL = CancelCommand(actor=ANNA)


# --- queued: no worker serves the broker -----------------------------------------------------------------------


async def test_without_its_broker_worker_an_order_stays_queued_and_is_sent_once_it_comes(
    rehearse_with: Rehearse,
) -> None:
    async with rehearse_with(broker_worker=False) as desk:
        order = await desk.send()
        await desk.until(order, S.SUBMITTING)
        assert "worker" in (await status(desk, order)).next_step
        assert await at_exchange(desk, order) == []
        async with broker_worker_of(desk):
            await desk.until(order, S.FILLED)


@pytest.mark.exercises("SUBMITTING > CANCELLED")
async def test_a_queued_order_notes_its_cancel_and_is_withheld(rehearse_with: Rehearse) -> None:
    async with rehearse_with(broker_worker=False) as desk:
        order = await desk.send()
        await desk.until(order, S.SUBMITTING)
        answer = await desk.desk.cancel(order, CANCEL)
        assert answer.state is S.SUBMITTING
        assert answer.cancel_requested
        assert (await desk.row(order)).cancel_requested
        async with broker_worker_of(desk):
            row = await desk.until(order, S.CANCELLED)
        assert row.reason_code == "PERSON_CANCELLED"
        assert await at_exchange(desk, order) == []


@pytest.mark.parametrize("switch", [TradingSwitch.HALTED, TradingSwitch.EXITS_ONLY])
async def test_a_halt_stops_the_entry_that_is_queued_and_lets_the_exit_go(
    rehearse_with: Rehearse, switch: TradingSwitch
) -> None:
    async with rehearse_with(broker_worker=False) as desk:
        async with broker_worker_of(desk):
            await desk.until(await desk.send(quantity=5), S.FILLED)
        entry, exit_order = await desk.send(), await desk.send(**sell(5))
        await desk.until(entry, S.SUBMITTING)
        await desk.until(exit_order, S.SUBMITTING)
        await desk.desk.set_switch(PAPER, switch, SwitchCommand(actor=ANNA, reason="rehearsal"))
        async with broker_worker_of(desk):
            row = await desk.until(entry, S.CANCELLED)
            await desk.until(exit_order, S.FILLED)
        assert row.reason_code == f"SWITCH_{switch}"
        assert await at_exchange(desk, entry) == []


async def test_an_order_queued_beyond_its_deadline_is_withheld(rehearse_with: Rehearse) -> None:
    async with rehearse_with(broker_worker=False, risk={"signal_max_age_s": 0.5}) as desk:
        order = await desk.send()
        await desk.until(order, S.SUBMITTING)
        await asyncio.sleep(0.6)  # the deadline itself is what is waited for
        async with broker_worker_of(desk):
            row = await desk.until(order, S.CANCELLED)
        assert row.reason_code == "SIGNAL_EXPIRED"
        assert await at_exchange(desk, order) == []


async def test_a_broker_that_cannot_be_reached_is_tried_again_until_it_can(rehearsal: Rehearsal) -> None:
    await arm(rehearsal, PaperFault.UNAVAILABLE, 1)
    order = await rehearsal.send()
    await rehearsal.until(order, S.FILLED)
    assert len(await at_exchange(rehearsal, order)) == 1


async def test_a_broker_that_stays_out_of_reach_is_not_tried_beyond_the_deadline(rehearse_with: Rehearse) -> None:
    async with rehearse_with(risk={"signal_max_age_s": 3}) as desk:
        await arm(desk, PaperFault.UNAVAILABLE, 1000)
        row = await desk.until(await desk.send(), S.CANCELLED)
        assert row.reason_code == "SIGNAL_EXPIRED"


async def test_an_order_whose_broker_cannot_be_reached_is_cancelled(rehearsal: Rehearsal) -> None:
    await arm(rehearsal, PaperFault.UNAVAILABLE, 1000)
    order = await rehearsal.send()
    await rehearsal.until(order, S.SUBMITTING)
    answer = await rehearsal.desk.cancel(order, CANCEL)
    assert answer.cancel_requested or answer.state is S.CANCELLED
    await rehearsal.until(order, S.CANCELLED)
    assert await at_exchange(rehearsal, order) == []


# --- at the exchange -------------------------------------------------------------------------------------------


@pytest.mark.exercises("SUBMITTING > OPEN > CANCELLED")
async def test_a_resting_order_is_cancelled_at_the_exchange(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    assert (await rehearsal.desk.cancel(order, CANCEL)).state is S.CANCELLED
    (row,) = await at_exchange(rehearsal, order)
    assert row.status == "CANCELLED"


@pytest.mark.exercises("OPEN > PARTIALLY_FILLED > CANCELLED")
async def test_a_part_filled_order_keeps_its_fills_when_the_rest_is_cancelled(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    await rehearsal.quote(1399.0, volume=4)
    await rehearsal.until(order, S.PARTIALLY_FILLED)
    answer = await rehearsal.desk.cancel(order, CANCEL)
    assert (answer.state, answer.filled_quantity) == (S.CANCELLED, 4)
    assert await rehearsal.scalar("SELECT quantity FROM positions") == 4


async def test_a_cancel_that_loses_the_race_against_the_fill_is_refused(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    await fill_behind(rehearsal, order, 10, "COMPLETE")  # and nobody was told
    assert await refused(rehearsal.desk.cancel(order, CANCEL)) == "ORDER_CANCEL_REFUSED"
    row = await rehearsal.until(order, S.FILLED)
    assert not row.cancel_requested
    assert row.filled_quantity == 10


async def test_cancels_and_fills_that_race_never_lose_a_fill(rehearsal: Rehearsal) -> None:
    orders = [await resting(rehearsal, quantity=n) for n in range(1, 7)]

    async def cancel(order: OrderId) -> None:
        await rehearsal.desk.cancel(order, CANCEL)

    await asyncio.gather(*(cancel(order) for order in orders), rehearsal.quote(1399.0), return_exceptions=True)
    for order in orders:
        row = await rehearsal.until(order, S.FILLED, S.CANCELLED)
        (at_the_exchange,) = await at_exchange(rehearsal, order)
        assert row.filled_quantity == at_the_exchange.filled_quantity
        assert (row.state == S.FILLED) == (at_the_exchange.status == "COMPLETE")


async def test_a_cancel_the_exchange_does_not_answer_is_asked_for_again(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    await arm(rehearsal, PaperFault.UNAVAILABLE, 2)
    answer = await rehearsal.desk.cancel(order, CANCEL)
    assert answer.cancel_requested
    row = await rehearsal.until(order, S.CANCELLED)
    assert not row.cancel_requested  # done: nothing is requested any more


async def test_many_cancels_at_once_end_one_order_and_are_all_answered(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    answers = await asyncio.gather(*(rehearsal.desk.cancel(order, CANCEL) for _ in range(10)), return_exceptions=True)
    assert len(answers) == 10
    assert (await rehearsal.path(order)).count("CANCELLED") == 1


@pytest.mark.parametrize("terms", [{}, {"tradingsymbol": "NOSUCH"}])
async def test_an_ended_order_refuses_a_cancel(rehearsal: Rehearsal, terms: dict[str, str]) -> None:
    order = await rehearsal.send(**terms)
    await rehearsal.until(order, S.FILLED, S.INVALID)
    assert await refused(rehearsal.desk.cancel(order, CANCEL)) == "ORDER_ENDED"


async def test_an_order_watched_for_late_fills_refuses_a_cancel(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    await rehearsal.desk.cancel(order, CANCEL)
    assert await refused(rehearsal.desk.cancel(order, CANCEL)) == "ORDER_ENDED"


async def test_an_order_cancelled_at_the_exchange_by_other_hands_ends(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    await edit_book(rehearsal, order, status="CANCELLED", message="cancelled by the risk desk")
    await rehearsal.desk.nudge(f"order:{order}")
    row = await rehearsal.until(order, S.CANCELLED)
    assert "cancelled by the risk desk" in row.reason


# --- Temporal's own cancellation -------------------------------------------------------------------------------


async def test_cancelling_the_workflow_in_temporal_cancels_the_order(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    await rehearsal.client.get_workflow_handle(f"order:{order}").cancel()
    await rehearsal.until(order, S.CANCELLED)
    (row,) = await at_exchange(rehearsal, order)
    assert row.status == "CANCELLED"


async def test_cancelling_the_workflow_of_a_queued_order_withholds_it(rehearse_with: Rehearse) -> None:
    async with rehearse_with(broker_worker=False) as desk:
        order = await desk.send()
        await desk.until(order, S.SUBMITTING)
        await desk.client.get_workflow_handle(f"order:{order}").cancel()

        async def noted() -> bool:
            return bool((await desk.row(order)).cancel_requested)

        await eventually(noted)
        async with broker_worker_of(desk):
            await desk.until(order, S.CANCELLED)
        assert await at_exchange(desk, order) == []


async def test_cancelling_the_workflow_of_a_parked_order_leaves_it_to_a_person(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders={"resolve_interval_s": 0.05, "resolve_timeout_s": 0.3}) as desk:
        await arm(desk, PaperFault.LOSE_REQUEST)
        order = await desk.send()
        await desk.until(order, S.PARKED)
        await desk.client.get_workflow_handle(f"order:{order}").cancel()
        assert (await status(desk, order)).state is S.PARKED


# --- a stop that rests -----------------------------------------------------------------------------------------


async def test_a_stop_rests_until_its_trigger_and_is_cancelled_before(rehearsal: Rehearsal) -> None:
    stop = {"order_type": OrderType.SL_M, "trigger_price": Decimal("1550.00")}
    order = await rehearsal.send(**stop)
    row = await rehearsal.until(order, S.OPEN)
    assert "TRIGGER_PENDING" in row.reason
    await rehearsal.desk.cancel(order, CANCEL)
    other = await rehearsal.send(**stop)
    await rehearsal.until(other, S.OPEN)
    await rehearsal.quote(1551.0)
    await rehearsal.until(other, S.FILLED)
    assert (await rehearsal.row(order)).filled_quantity == 0
