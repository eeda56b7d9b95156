"""Changing a working order: checked like an entry for what it adds, refused with a reason, never half done."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from activities.messages import ApproveCommand, CancelCommand, ModifyCommand, SwitchCommand
from alphapanda.brokers.paper.faults import PaperFault
from alphapanda.domain.execution import OrderChange
from alphapanda.domain.ids import OrderId
from alphapanda.domain.states import OrderState
from alphapanda.domain.vocabulary import OrderType, TradingSwitch
from tests.rehearsal import PAPER, Rehearsal
from tests.workflow.conftest import Rehearse
from tests.workflow.support import arm, at_exchange, fill_behind, holding, refused, resting, sell

S = OrderState
ANNA = "anna"


async def change(desk: Rehearsal, order: OrderId, **fields: Any) -> Any:
    return await desk.desk.modify(order, ModifyCommand(actor=ANNA, change=OrderChange(**fields)))


async def reserved(desk: Rehearsal, order: OrderId) -> int:
    return int(await desk.scalar("SELECT quantity FROM reservations WHERE order_id = :order", order=order))


async def test_quantity_and_price_change_at_the_exchange_and_in_the_ledger(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    answer = await change(rehearsal, order, quantity=15, price=Decimal("1410.00"))
    assert (answer.state, answer.quantity) == (S.OPEN, 15)
    row = await rehearsal.row(order)
    assert (row.quantity, row.price, row.modify_requested) == (15, Decimal("1410.00"), False)
    (there,) = await at_exchange(rehearsal, order)
    assert (there.quantity, there.price) == (15, Decimal("1410.00"))
    assert await reserved(rehearsal, order) == 15
    await change(rehearsal, order, quantity=5)
    assert await reserved(rehearsal, order) == 5


@pytest.mark.exercises("OPEN > FILLED")
async def test_a_change_that_crosses_the_market_fills(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    answer = await change(rehearsal, order, price=Decimal("1510.00"))
    assert answer.state is S.FILLED


async def test_a_limit_order_is_turned_into_a_market_order(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    answer = await change(rehearsal, order, order_type=OrderType.MARKET)
    assert answer.state is S.FILLED
    row = await rehearsal.row(order)
    assert (row.order_type, row.price) == ("MARKET", None)


@pytest.mark.exercises("PARTIALLY_FILLED > FILLED")
async def test_a_part_filled_order_is_changed_down_to_what_is_filled_plus_more_only(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    await rehearsal.quote(1399.0, volume=4)
    await rehearsal.until(order, S.PARTIALLY_FILLED)
    for quantity in (3, 4):
        assert await refused(change(rehearsal, order, quantity=quantity)) == "CHANGE_REFUSED"
    assert (await change(rehearsal, order, quantity=6)).state is S.PARTIALLY_FILLED
    assert await reserved(rehearsal, order) == 2
    await rehearsal.quote(1399.0)
    row = await rehearsal.until(order, S.FILLED)
    assert row.filled_quantity == 6


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"quantity": 21}, "RISK_ORDER_QUANTITY"),
        ({"quantity": 16}, "RISK_POSITION_QUANTITY"),
        ({"price": Decimal("1400.03")}, "INSTRUMENT_TICK_SIZE"),
        ({"price": Decimal("1200.00")}, "RISK_PRICE_COLLAR"),
        ({"trigger_price": Decimal("1450.00")}, "CHANGE_CONTRADICTS"),
        ({"order_type": OrderType.SL}, "CHANGE_CONTRADICTS"),
        ({"price": Decimal("1e30")}, "CHANGE_CONTRADICTS"),
    ],
)
async def test_a_change_that_breaks_a_limit_or_rule_leaves_the_order_as_it_was(
    rehearse_with: Rehearse, fields: dict[str, Any], why: str
) -> None:
    async with rehearse_with(risk={"max_order_quantity": 20, "max_position_quantity": 15}) as desk:
        order = await resting(desk)
        with pytest.raises(Exception, match=why):
            await change(desk, order, **fields)
        row = await desk.row(order)
        assert (row.state, row.quantity, row.price, row.modify_requested) == (S.OPEN, 10, Decimal("1400.00"), False)
        assert await reserved(desk, order) == 10
        (there,) = await at_exchange(desk, order)
        assert (there.quantity, there.price) == (10, Decimal("1400.00"))


async def test_changes_and_new_orders_cannot_break_the_position_limit_together(rehearse_with: Rehearse) -> None:
    async with rehearse_with(risk={"max_position_quantity": 30}) as desk:
        orders = [await resting(desk, quantity=10) for _ in range(2)]
        await asyncio.gather(
            *(change(desk, order, quantity=20) for order in orders),
            *(desk.send(quantity=10) for _ in range(3)),
            return_exceptions=True,
        )
        for order in desk.sent:
            await desk.until(order, S.OPEN, S.FILLED, S.DENIED)
        held = await desk.scalar("SELECT coalesce(sum(quantity), 0) FROM positions")
        assert held + await desk.scalar("SELECT coalesce(sum(quantity), 0) FROM reservations") <= 30


async def test_a_change_past_the_approval_threshold_is_refused_one_below_or_back_down_is_not(
    rehearse_with: Rehearse,
) -> None:
    async with rehearse_with(risk={"approval_value": 20_000}) as desk:
        order = await resting(desk)  # of 14,000
        with pytest.raises(Exception, match="CHANGE_NEEDS_APPROVAL"):
            await change(desk, order, quantity=15)
        assert (await change(desk, order, quantity=14)).quantity == 14
        confirmed = await desk.send(order_type=OrderType.LIMIT, price=Decimal("1400.00"), quantity=20)
        await desk.until(confirmed, S.AWAITING_APPROVAL)
        await desk.desk.approve(confirmed, ApproveCommand(actor=ANNA))
        await desk.until(confirmed, S.OPEN)
        assert (await change(desk, confirmed, quantity=18)).quantity == 18
        with pytest.raises(Exception, match="CHANGE_NEEDS_APPROVAL"):
            await change(desk, confirmed, quantity=19)


async def test_an_exit_is_not_changed_beyond_what_is_held(rehearsal: Rehearsal) -> None:
    await holding(rehearsal, 10)
    high = {"order_type": OrderType.LIMIT, "price": Decimal("1600.00")}
    order = await rehearsal.send(**sell(5), **high)
    await rehearsal.until(order, S.OPEN)
    await rehearsal.desk.set_switch(PAPER, TradingSwitch.HALTED, SwitchCommand(actor=ANNA))
    assert (await change(rehearsal, order, quantity=10)).quantity == 10  # a halt does not hold an exit's change
    with pytest.raises(Exception, match="CHANGE_EXCEEDS_POSITION"):
        await change(rehearsal, order, quantity=11)


async def test_a_halt_holds_back_the_change_of_an_entry(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    await rehearsal.desk.set_switch(PAPER, TradingSwitch.HALTED, SwitchCommand(actor=ANNA))
    with pytest.raises(Exception, match="SWITCH_HALTED"):
        await change(rehearsal, order, quantity=11)
    assert (await rehearsal.desk.cancel(order, CancelCommand(actor=ANNA))).state is S.CANCELLED


async def test_a_change_the_broker_refuses_is_refused_and_its_reservation_given_back(rehearse_with: Rehearse) -> None:
    async with rehearse_with(paper={"starting_cash": 4_000}) as desk:
        order = await resting(desk)
        assert await refused(change(desk, order, quantity=100)) == "ORDER_MODIFY_REFUSED"
        assert await reserved(desk, order) == 10
        assert (await desk.row(order)).quantity == 10


async def test_a_change_that_loses_the_race_against_the_fill_is_refused(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    await fill_behind(rehearsal, order, 10, "COMPLETE")
    assert await refused(change(rehearsal, order, quantity=12)) == "ORDER_MODIFY_REFUSED"
    await rehearsal.until(order, S.FILLED)


async def test_a_change_that_did_not_reach_the_broker_is_not_called_done(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    await arm(rehearsal, PaperFault.UNAVAILABLE)
    assert await refused(change(rehearsal, order, quantity=12)) == "ORDER_MODIFY_NOT_DONE"
    row = await rehearsal.row(order)
    assert (row.quantity, row.state) == (10, S.OPEN)
    assert (await change(rehearsal, order, quantity=12)).quantity == 12


async def test_an_empty_change_and_one_of_an_order_that_does_not_work_are_refused(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    assert await refused(change(rehearsal, order)) == "CHANGE_EMPTY"
    await rehearsal.redis.flushall()
    waiting = await rehearsal.send()
    await rehearsal.until(waiting, S.VALIDATED)
    assert await refused(change(rehearsal, waiting, quantity=5)) == "ORDER_NOT_IN_STATE"
