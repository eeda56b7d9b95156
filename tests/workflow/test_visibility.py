"""What people see of an order without reading a log: list filters, the summary, current details, the status query."""

from decimal import Decimal

from activities.messages import CancelCommand
from alphapanda.domain.ids import OrderId, StrategyId
from alphapanda.domain.states import OrderState
from alphapanda.domain.vocabulary import OrderType, Side
from tests.rehearsal import Rehearsal
from tests.workflow.support import details, eventually, resting, status

S = OrderState


async def found(desk: Rehearsal, query: str) -> set[str]:
    return {each.id async for each in desk.client.list_workflows(query)}


async def test_orders_are_found_by_broker_strategy_instrument_side_and_state(rehearsal: Rehearsal) -> None:
    strategy = StrategyId("visible-strategy")
    buy = await resting(rehearsal, strategy_id=strategy)
    high = {"side": Side.SELL, "order_type": OrderType.LIMIT, "price": Decimal("1600.00")}
    sold = await resting(rehearsal, **high)
    both = {f"order:{buy}", f"order:{sold}"}

    async def listed(query: str, expected: set[str]) -> None:
        async def shown() -> bool:
            return await found(rehearsal, f"{query} AND ExecutionStatus = 'Running'") == expected

        await eventually(shown)

    await listed("Broker = 'paper' AND WorkflowType = 'OrderWorkflow'", both)
    await listed("Broker = 'paper' AND WorkflowType = 'BrokerWorkflow'", {"broker:paper"})
    await listed("Broker = 'zerodha'", set())
    await listed("Strategy = 'visible-strategy'", {f"order:{buy}"})
    await listed("Instrument = 'NSE:INFY'", both)
    await listed("Side = 'SELL'", {f"order:{sold}"})
    await listed("OrderState = 'OPEN'", both)
    await rehearsal.desk.cancel(buy, CancelCommand(actor="anna"))
    await listed("OrderState = 'CANCELLED' AND Side = 'BUY'", {f"order:{buy}"})
    await listed("OrderState = 'OPEN'", {f"order:{sold}"})


async def test_the_summary_says_what_is_traded_where_and_why(rehearsal: Rehearsal) -> None:
    order = await rehearsal.send()
    description = await rehearsal.client.get_workflow_handle(f"order:{order}").describe()
    assert await description.static_summary() == "BUY 10 NSE:INFY @ MARKET · paper · test"


async def test_the_current_details_tell_state_reason_fills_tag_and_the_next_step(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    await rehearsal.quote(1399.0, volume=4)
    row = await rehearsal.until(order, S.PARTIALLY_FILLED)

    async def shown() -> bool:
        return "PARTIALLY_FILLED" in await details(rehearsal, f"order:{order}")

    await eventually(shown)
    told = await details(rehearsal, f"order:{order}")
    for fact in (
        "BUY 10 NSE:INFY @ 1400.00 · paper · test",
        "BROKER_PARTIAL_FILL",
        "filled: 4/10 at 1400",
        row.tag,
        row.broker_order_id,
        "next: ",
    ):
        assert fact in told


async def test_the_brokers_details_tell_session_and_switch(rehearsal: Rehearsal) -> None:
    told = await details(rehearsal, "broker:paper")
    assert "session: UNKNOWN" in told
    assert "switch: ENABLED" in told


async def test_the_status_query_answers_for_a_living_and_for_an_ended_order(rehearsal: Rehearsal) -> None:
    order = await rehearsal.send()
    row = await rehearsal.until(order, S.FILLED)
    await rehearsal.client.get_workflow_handle(f"order:{order}").result()
    answer = await status(rehearsal, order)
    assert (answer.state, answer.filled_quantity, answer.tag) == (S.FILLED, 10, row.tag)
    assert answer.next_step == "Nothing: it has ended."
    assert await rehearsal.desk.status(OrderId("paper:never-sent")) is None
