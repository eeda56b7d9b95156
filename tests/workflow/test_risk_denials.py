"""Each risk limit denies what breaks it and lets pass what is just inside; exits are never held by entry limits."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from activities.messages import SwitchCommand
from alphapanda.domain.states import OrderState
from alphapanda.domain.vocabulary import OrderType, Product, TradingSwitch
from tests.rehearsal import PAPER, Rehearsal
from tests.workflow.conftest import Rehearse
from tests.workflow.support import RESTING, holding, sell

S = OrderState

NARROW: dict[str, Any] = {
    "max_order_quantity": 20,
    "max_order_value": 28_000,
    "max_position_quantity": 30,
    "max_position_value": 40_000,
}


def limit(price: str, quantity: int = 10) -> dict[str, Any]:
    return {"order_type": OrderType.LIMIT, "price": Decimal(price), "quantity": quantity}


@pytest.mark.exercises("VALIDATED > DENIED")
@pytest.mark.parametrize(
    ("risk", "outside", "inside", "code"),
    [
        ({"max_order_quantity": 20}, {"quantity": 21}, {"quantity": 20}, "RISK_ORDER_QUANTITY"),
        ({"max_order_value": 14_000}, limit("1400.05"), limit("1400.00"), "RISK_ORDER_VALUE"),
        ({"max_position_quantity": 20}, {"quantity": 21}, {"quantity": 20}, "RISK_POSITION_QUANTITY"),
        ({"max_position_value": 14_000}, limit("1400.05"), limit("1400.00"), "RISK_POSITION_VALUE"),
        ({"price_collar_percent": 5}, limit("1424.95"), limit("1425.00"), "RISK_PRICE_COLLAR"),
    ],
)
async def test_a_limit_denies_outside_and_passes_just_inside(
    rehearse_with: Rehearse, risk: dict[str, Any], outside: dict[str, Any], inside: dict[str, Any], code: str
) -> None:
    async with rehearse_with(risk=risk) as desk:
        row = await desk.until(await desk.send(**outside), S.DENIED)
        assert row.reason_code == code
        await desk.until(await desk.send(**inside), S.FILLED, S.OPEN)


async def test_a_resting_order_counts_against_the_position_limit(rehearse_with: Rehearse) -> None:
    async with rehearse_with(risk={"max_position_quantity": 20}) as desk:
        await desk.until(await desk.send(**RESTING, quantity=15), S.OPEN)
        row = await desk.until(await desk.send(quantity=6), S.DENIED)
        assert row.reason_code == "RISK_POSITION_QUANTITY"
        await desk.until(await desk.send(quantity=5), S.FILLED)


async def test_an_old_signal_is_denied_and_a_recent_one_passes(rehearse_with: Rehearse) -> None:
    async with rehearse_with(risk={"signal_max_age_s": 60}) as desk:
        now = datetime.now(UTC)
        row = await desk.until(await desk.send(generated_at=now - timedelta(seconds=61)), S.DENIED)
        assert row.reason_code == "SIGNAL_STALE"
        await desk.until(await desk.send(generated_at=now - timedelta(seconds=30)), S.FILLED)


async def test_the_same_intent_twice_within_the_window_makes_one_order(rehearse_with: Rehearse) -> None:
    async with rehearse_with(risk={"duplicate_window_s": 60}) as desk:
        await desk.until(await desk.send(), S.FILLED)
        row = await desk.until(await desk.send(), S.DENIED)
        assert row.reason_code == "SIGNAL_DUPLICATE"
        await desk.until(await desk.send(quantity=11), S.FILLED)


async def test_a_loss_at_the_limit_denies_entries_and_lets_the_exit_out(rehearse_with: Rehearse) -> None:
    async with rehearse_with(risk={"max_daily_loss": 1_000, "price_collar_percent": 50}) as desk:
        await holding(desk, 10)
        await desk.quote(1390.0)  # 110 rupees down on each of 10
        # What is known of the open result may be a second old.
        while (row := await desk.until(await desk.send(quantity=1), S.DENIED, S.FILLED)).state == S.FILLED:
            assert await desk.scalar("SELECT count(*) FROM orders") < 200
        assert row.reason_code == "RISK_DAILY_LOSS"
        held = await desk.scalar("SELECT sum(quantity) FROM positions")
        await desk.until(await desk.send(**sell(int(held))), S.FILLED)


async def test_no_entry_limit_holds_back_an_exit(rehearse_with: Rehearse) -> None:
    async with rehearse_with(risk={**NARROW, "approval_value": 20_000}, orders={"quote_wait_s": 0}) as desk:
        await holding(desk, 13)
        await holding(desk, 13)
        await desk.quote(age_s=1000)  # stale for our rules: an entry would be denied
        await desk.desk.set_switch(PAPER, TradingSwitch.HALTED, SwitchCommand(actor="tester", reason="rehearsal"))
        exit_order = await desk.send(**sell(26), order_type=OrderType.LIMIT, price=Decimal("1700.00"))
        row = await desk.until(exit_order, S.OPEN, S.DENIED, S.REJECTED)
        assert row.state == S.OPEN, row.reason


async def test_an_order_larger_than_the_position_is_an_entry(rehearsal: Rehearsal) -> None:
    await holding(rehearsal, 10)
    await rehearsal.desk.set_switch(PAPER, TradingSwitch.EXITS_ONLY, SwitchCommand(actor="tester"))
    row = await rehearsal.until(await rehearsal.send(**sell(11)), S.DENIED)
    assert row.reason_code == "SWITCH_EXITS_ONLY"
    await rehearsal.until(await rehearsal.send(**sell(10)), S.FILLED)


async def test_two_exits_cannot_both_close_the_same_position(rehearsal: Rehearsal) -> None:
    await holding(rehearsal, 10)
    await rehearsal.desk.set_switch(PAPER, TradingSwitch.EXITS_ONLY, SwitchCommand(actor="tester"))
    high = {"order_type": OrderType.LIMIT, "price": Decimal("1600.00")}
    await rehearsal.until(await rehearsal.send(**sell(10), **high), S.OPEN)
    row = await rehearsal.until(await rehearsal.send(**sell(10), **high), S.DENIED)
    assert row.reason_code == "SWITCH_EXITS_ONLY"


async def test_an_exit_of_one_product_does_not_use_up_the_exits_of_another(rehearsal: Rehearsal) -> None:
    await holding(rehearsal, 10, product=Product.MIS)
    await holding(rehearsal, 10, product=Product.CNC)
    await rehearsal.desk.set_switch(PAPER, TradingSwitch.HALTED, SwitchCommand(actor="tester"))
    high = {"order_type": OrderType.LIMIT, "price": Decimal("1600.00")}
    await rehearsal.until(await rehearsal.send(**sell(10), **high, product=Product.MIS), S.OPEN)
    await rehearsal.until(await rehearsal.send(**sell(10), **high, product=Product.CNC), S.OPEN)


async def test_an_order_the_broker_refuses_at_the_door_is_rejected_with_its_words(rehearse_with: Rehearse) -> None:
    async with rehearse_with(paper={"starting_cash": 1_000}) as desk:
        order = await desk.send()
        row = await desk.until(order, S.REJECTED)
        assert row.reason_code == "BROKER_REJECTED"
        assert "message=" in row.reason
