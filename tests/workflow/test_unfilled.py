"""The rest of a market order that stays open at the broker: waited for, sent to the market again, or cancelled."""

from decimal import Decimal
from typing import Any

from activities.messages import SwitchCommand
from alphapanda.domain.ids import OrderId
from alphapanda.domain.states import OrderState
from alphapanda.domain.vocabulary import OrderType, TradingSwitch
from tests.rehearsal import PAPER, Rehearsal
from tests.workflow.conftest import Rehearse
from tests.workflow.support import at_exchange, eventually, resting

S = OrderState


def policy(action: str, **more: Any) -> dict[str, Any]:
    return {"unfilled_market": action, "unfilled_market_after_s": 0.3, **more}


async def part_filled(desk: Rehearsal, **terms: Any) -> OrderId:
    """A market order of 10 that found 4: the rest is open at the exchange."""
    await desk.quote(volume=4)
    order = await desk.send(**terms)
    await desk.until(order, S.PARTIALLY_FILLED, S.CANCELLED)
    return order


async def notes(desk: Rehearsal, order: OrderId) -> list[Any]:
    return [event for event in await desk.events(order) if event.from_state == event.to_state]


async def test_the_rest_is_cancelled_where_policy_says_so(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders=policy("cancel")) as desk:
        order = await part_filled(desk)
        row = await desk.until(order, S.CANCELLED)
        assert (row.filled_quantity, row.reason_code) == (4, "BROKER_CANCELLED")
        (note,) = await notes(desk, order)
        assert (note.to_state, note.reason) == ("PARTIALLY_FILLED", "UNFILLED_CANCELLED: filled=4/10, reprices=0")
        (there,) = await at_exchange(desk, order)
        assert there.status == "CANCELLED"


async def test_the_rest_is_sent_to_the_market_again_so_many_times_and_then_cancelled(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders=policy("reprice", unfilled_market_reprices=2)) as desk:
        order = await part_filled(desk)
        row = await desk.until(order, S.CANCELLED)
        assert row.filled_quantity == 4
        assert [note.reason for note in await notes(desk, order)] == [
            "UNFILLED_REPRICED: filled=4/10, try=1/2",
            "UNFILLED_REPRICED: filled=4/10, try=2/2",
            "UNFILLED_CANCELLED: filled=4/10, reprices=2",
        ]


async def test_a_triggered_stop_is_sent_to_the_market_as_a_market_order(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders=policy("reprice", unfilled_market_reprices=1)) as desk:
        order = await desk.send(order_type=OrderType.SL_M, trigger_price=Decimal("1510.00"))
        await desk.until(order, S.OPEN)
        await desk.quote(1511.0, volume=4)
        row = await desk.until(order, S.CANCELLED)
        assert (row.order_type, row.trigger_price, row.filled_quantity) == ("MARKET", None, 4)
        assert [note.reason_code for note in await notes(desk, order)] == ["UNFILLED_REPRICED", "UNFILLED_CANCELLED"]


async def test_what_may_not_be_sent_now_is_not_sent_again_and_cancelled_in_the_end(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders=policy("reprice", unfilled_market_reprices=1)) as desk:
        order = await part_filled(desk)
        await desk.desk.set_switch(PAPER, TradingSwitch.HALTED, SwitchCommand(actor="anna"))
        await desk.until(order, S.CANCELLED)
        first, last = await notes(desk, order)
        assert first.reason == "UNFILLED_NOT_REPRICED: filled=4/10, try=1/1, refusal=SWITCH_HALTED"
        assert last.reason_code == "UNFILLED_CANCELLED"


async def test_by_default_the_rest_is_waited_for(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders={"unfilled_market_after_s": 0.1, "poll_interval_s": 0.1}) as desk:
        order = await part_filled(desk)
        await desk.quote(1501.0, volume=3)

        async def seven() -> bool:
            return bool((await desk.row(order)).filled_quantity == 7)

        await eventually(seven)
        await desk.quote(1502.0)
        await desk.until(order, S.FILLED)
        assert await notes(desk, order) == []


async def test_no_other_order_is_touched_by_it(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders=policy("cancel", poll_interval_s=0.1)) as desk:
        limit = await resting(desk)
        stop = await desk.send(order_type=OrderType.SL_M, trigger_price=Decimal("1600.00"))
        await desk.until(stop, S.OPEN)
        market = await part_filled(desk)  # by its end the others had their time, too
        await desk.until(market, S.CANCELLED)
        for order in (limit, stop):
            assert (await desk.row(order)).state == S.OPEN
            assert await notes(desk, order) == []
