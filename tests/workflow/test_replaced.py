"""The 26th modification: the order is cancelled at the broker for certain, and its rest placed under the next tag."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from activities.messages import CancelCommand, ModifyCommand, ResolveCommand, SessionCommand
from alphapanda.brokers.paper.faults import PaperFault
from alphapanda.brokers.paper.rehearsal import expire_session
from alphapanda.domain.execution import MAX_MODIFICATIONS, OrderChange, OrderRequest, Placement
from alphapanda.domain.ids import OrderId, next_tag
from alphapanda.domain.states import OrderState
from alphapanda.domain.vocabulary import OrderType, Validity
from tests.rehearsal import PAPER, Rehearsal
from tests.workflow.conftest import Rehearse
from tests.workflow.support import arm, eventually, refused, resting

S = OrderState
ANNA = "anna"
SLOW: dict[str, Any] = {"resolve_interval_s": 0.05, "resolve_timeout_s": 60}
QUICK: dict[str, Any] = {"resolve_interval_s": 0.05, "resolve_timeout_s": 0.6, "absent_after_s": 0}


async def change(desk: Rehearsal, order: OrderId, **fields: Any) -> Any:
    return await desk.desk.modify(order, ModifyCommand(actor=ANNA, change=OrderChange(**fields)))


async def exhausted(desk: Rehearsal, **terms: Any) -> OrderId:
    """A resting order that was modified as often as the broker allows; its price is 1400 again."""
    order = await resting(desk, **terms)
    field = "trigger_price" if "trigger_price" in terms else "price"
    first = Decimal(str(terms.get(field, "1400.00")))
    for number in range(MAX_MODIFICATIONS):
        await change(desk, order, **{field: first + (number % 2 == 0)})
    return order


async def rows(desk: Rehearsal, order: OrderId) -> list[Any]:
    """All its rows at the exchange, oldest first."""
    async with desk.engine.connect() as connection:
        query = text(
            "SELECT p.* FROM paper_orders p JOIN orders o ON left(p.tag, 18) = left(o.tag, 18) "
            "WHERE o.order_id = :order ORDER BY broker_order_id"
        )
        return list((await connection.execute(query, {"order": order})).all())


async def late_fill(desk: Rehearsal, row: Any, quantity: int) -> None:
    """A trade of a cancelled order that the exchange tells of afterwards."""
    async with desk.engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO paper_trades (broker, trade_id, broker_order_id, exchange, tradingsymbol, side, product, "
                "quantity, price, charges, traded_at, tick) SELECT broker, broker_order_id || '-late', "
                "broker_order_id, exchange, tradingsymbol, side, product, :quantity, 1400, 0, now(), '' "
                "FROM paper_orders WHERE broker_order_id = :number"
            ),
            {"number": row.broker_order_id, "quantity": quantity},
        )
        await connection.execute(
            text(
                "WITH moved AS (UPDATE paper_accounts SET version = version + 1 RETURNING broker, version) "
                "UPDATE paper_orders o SET version = moved.version, filled_quantity = filled_quantity + :quantity, "
                "turnover = turnover + 1400 * :quantity FROM moved WHERE o.broker_order_id = :number"
            ),
            {"number": row.broker_order_id, "quantity": quantity},
        )


@pytest.mark.exercises("OPEN > SUBMITTING > OPEN")
async def test_the_26th_modification_replaces_the_order_in_one_visible_step(rehearsal: Rehearsal) -> None:
    order = await exhausted(rehearsal)
    before = await rehearsal.row(order)
    answer = await change(rehearsal, order, price=Decimal("1402.00"), quantity=12)
    assert answer.state is S.SUBMITTING
    row = await rehearsal.until(order, S.OPEN)
    assert (row.tag, row.price, row.quantity) == (next_tag(before.tag), Decimal("1402.00"), 12)
    old, new = await rows(rehearsal, order)
    assert (old.status, old.tag, new.status, new.tag) == ("CANCELLED", before.tag, "OPEN", row.tag)
    assert (new.quantity, new.price, row.broker_order_id) == (12, Decimal("1402.00"), new.broker_order_id)
    assert row.evidence["replaced"] == [{"tag": before.tag, "broker_order_id": old.broker_order_id}]
    told = [event.reason_code for event in await rehearsal.events(order)][-3:]
    assert told == ["CHANGE_REPLACES", "CHANGE_REPLACED", "BROKER_ACCEPTED"]
    assert await rehearsal.scalar("SELECT quantity FROM reservations") == 12
    # The new order may be modified as often again.
    assert (await change(rehearsal, order, price=Decimal("1401.00"))).state is S.OPEN
    assert len(await rows(rehearsal, order)) == 2
    await rehearsal.quote(1399.0)
    row = await rehearsal.until(order, S.FILLED)
    assert row.filled_quantity == 12


@pytest.mark.exercises("PARTIALLY_FILLED > SUBMITTING > PARTIALLY_FILLED > FILLED")
async def test_what_was_filled_before_is_not_placed_again(rehearsal: Rehearsal) -> None:
    order = await exhausted(rehearsal)
    await rehearsal.quote(1399.0, volume=4)
    await rehearsal.until(order, S.PARTIALLY_FILLED)
    await change(rehearsal, order, price=Decimal("1398.00"))
    await rehearsal.until(order, S.PARTIALLY_FILLED)
    old, new = await rows(rehearsal, order)
    assert (old.filled_quantity, new.quantity) == (4, 6)
    assert (await change(rehearsal, order, quantity=11)).quantity == 11
    assert (await rows(rehearsal, order))[1].quantity == 7
    await rehearsal.quote(1397.0)
    row = await rehearsal.until(order, S.FILLED)
    assert (row.filled_quantity, row.quantity) == (11, 11)
    assert await rehearsal.scalar("SELECT quantity FROM positions") == 11


async def test_a_late_fill_of_the_replaced_order_is_booked_while_the_new_one_works(rehearsal: Rehearsal) -> None:
    order = await exhausted(rehearsal)
    await change(rehearsal, order, price=Decimal("1398.00"))
    await rehearsal.until(order, S.OPEN)
    old, _ = await rows(rehearsal, order)
    await late_fill(rehearsal, old, 3)
    report = await rehearsal.broker.order(old.broker_order_id)
    assert report is not None
    await rehearsal.watch.on_update(report)
    row = await rehearsal.until(order, S.PARTIALLY_FILLED)
    assert (row.filled_quantity, row.quantity, row.broker_order_id == old.broker_order_id) == (3, 13, False)
    await rehearsal.quote(1397.0)
    row = await rehearsal.until(order, S.FILLED)
    assert row.filled_quantity == 13


async def test_a_late_fill_of_the_replaced_order_is_booked_after_the_end_once(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders={"late_fill_watch_s": 0}) as desk:
        order = await exhausted(desk)
        await change(desk, order, price=Decimal("1398.00"))
        await desk.until(order, S.OPEN)
        await desk.desk.cancel(order, CancelCommand(actor=ANNA))
        await desk.client.get_workflow_handle(f"order:{order}").result()
        old, new = await rows(desk, order)
        await late_fill(desk, old, 3)
        report = await desk.broker.order(old.broker_order_id)
        assert report is not None
        for _ in range(2):
            await desk.watch.on_update(report)
        row = await desk.row(order)
        assert (row.state, row.filled_quantity, row.quantity) == (S.CANCELLED, 3, 10)
        assert row.broker_order_id == new.broker_order_id
        assert await desk.scalar("SELECT count(*) FROM fills") == 1


@pytest.mark.parametrize("fault", [PaperFault.LOSE_REPLY, PaperFault.HIDE_FROM_BOOK])
async def test_a_replacement_whose_reply_is_lost_is_found_by_its_tag(
    rehearse_with: Rehearse, fault: PaperFault
) -> None:
    async with rehearse_with(orders=SLOW) as desk:
        order = await exhausted(desk)
        await arm(desk, fault, hide_s=0.5)
        await change(desk, order, price=Decimal("1402.00"))
        row = await desk.until(order, S.OPEN)
        assert row.reason_code == "RESOLVED_FROM_BOOK"
        assert [each.status for each in await rows(desk, order)] == ["CANCELLED", "OPEN"]


async def test_a_replacement_that_is_lost_is_parked_and_decided_by_a_person(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders=QUICK) as desk:
        order = await exhausted(desk)
        await desk.quote(1399.0, volume=4)
        await desk.until(order, S.PARTIALLY_FILLED)
        await arm(desk, PaperFault.LOSE_REQUEST)
        await change(desk, order, price=Decimal("1398.00"))
        await desk.until(order, S.PARKED)
        for state in (S.FAILED, S.REJECTED):  # a part of it is filled
            verdict = ResolveCommand(actor=ANNA, state=state)
            assert await refused(desk.desk.resolve(order, verdict)) == "RESOLVE_STATE_IMPOSSIBLE"
        await desk.desk.resolve(order, ResolveCommand(actor=ANNA, state=S.SUBMITTING))
        await desk.until(order, S.PARTIALLY_FILLED)
        await desk.quote(1397.0)
        row = await desk.until(order, S.FILLED)
        assert row.filled_quantity == 10
        assert len(await rows(desk, order)) == 2


async def test_a_replacement_the_exchange_rejects_leaves_the_order_cancelled_with_its_fills(
    rehearsal: Rehearsal,
) -> None:
    order = await exhausted(rehearsal)
    await rehearsal.quote(1399.0, volume=4)
    await rehearsal.until(order, S.PARTIALLY_FILLED)
    await arm(rehearsal, PaperFault.REJECT_NEXT)
    await change(rehearsal, order, price=Decimal("1398.00"))
    row = await rehearsal.until(order, S.CANCELLED)
    assert row.filled_quantity == 4
    assert "rehearsed" in row.reason


@pytest.mark.exercises("AWAITING_AUTH > SUBMITTING")
async def test_a_replacement_that_meets_a_dead_session_goes_on_after_the_login(rehearsal: Rehearsal) -> None:
    order = await exhausted(rehearsal)
    place = rehearsal.broker.place

    async def die_first(request: OrderRequest) -> Placement:
        rehearsal.broker.place = place  # type: ignore[method-assign]
        await expire_session(rehearsal.engine, PAPER)
        return await place(request)

    rehearsal.broker.place = die_first  # type: ignore[method-assign]
    await change(rehearsal, order, price=Decimal("1402.00"))
    await rehearsal.until(order, S.AWAITING_AUTH)
    await rehearsal.broker.open_session("token")
    await rehearsal.desk.session_opened(PAPER, SessionCommand(actor=ANNA))
    await rehearsal.until(order, S.OPEN)
    assert [each.status for each in await rows(rehearsal, order)] == ["CANCELLED", "OPEN"]


async def test_a_session_that_dies_with_the_cancel_is_waited_for(rehearsal: Rehearsal) -> None:
    order = await exhausted(rehearsal)
    cancel = rehearsal.broker.cancel

    async def and_die(broker_order_id: str) -> None:
        rehearsal.broker.cancel = cancel  # type: ignore[method-assign]
        await cancel(broker_order_id)
        await expire_session(rehearsal.engine, PAPER)

    rehearsal.broker.cancel = and_die  # type: ignore[method-assign]
    asked = asyncio.create_task(change(rehearsal, order, price=Decimal("1402.00")))
    await rehearsal.until(order, S.AWAITING_AUTH)
    await rehearsal.broker.open_session("token")
    await rehearsal.desk.session_opened(PAPER, SessionCommand(actor=ANNA))
    await asked
    await rehearsal.until(order, S.OPEN)
    assert [each.status for each in await rows(rehearsal, order)] == ["CANCELLED", "OPEN"]


async def test_an_order_that_fills_while_its_cancel_is_asked_for_is_not_replaced(rehearsal: Rehearsal) -> None:
    order = await exhausted(rehearsal)
    cancel = rehearsal.broker.cancel

    async def too_late(broker_order_id: str) -> None:
        await rehearsal.quote(1399.0)

        async def filled() -> bool:
            return bool((await rows(rehearsal, order))[0].status == "COMPLETE")

        await eventually(filled)
        await cancel(broker_order_id)

    rehearsal.broker.cancel = too_late  # type: ignore[method-assign]
    assert await refused(change(rehearsal, order, price=Decimal("1402.00"))) == "ORDER_MODIFY_REFUSED"
    row = await rehearsal.until(order, S.FILLED)
    assert row.filled_quantity == 10
    assert len(await rows(rehearsal, order)) == 1


async def test_a_change_the_limits_refuse_replaces_nothing(rehearse_with: Rehearse) -> None:
    async with rehearse_with(risk={"max_order_quantity": 20}) as desk:
        order = await exhausted(desk)
        assert await refused(change(desk, order, quantity=21)) == "CHANGE_REFUSED"
        assert [each.status for each in await rows(desk, order)] == ["OPEN"]


@pytest.mark.parametrize(
    "terms",
    [
        {"validity": Validity.TTL, "validity_minutes": 60},
        {"variety": "iceberg", "iceberg_legs": 2},
    ],
)
async def test_an_order_that_would_become_another_is_not_replaced(rehearsal: Rehearsal, terms: dict[str, Any]) -> None:
    order = await exhausted(rehearsal, **terms)
    with pytest.raises(Exception, match="cancel it and send a new signal"):
        await change(rehearsal, order, quantity=11)
    assert await refused(change(rehearsal, order, quantity=11)) == "ORDER_MODIFICATIONS_EXHAUSTED"
    row = await rehearsal.row(order)
    assert (row.state, row.quantity, len(await rows(rehearsal, order))) == (S.OPEN, 10, 1)
    assert await rehearsal.scalar("SELECT quantity FROM reservations") == 10


async def test_a_waiting_stop_is_replaced_and_a_triggered_one_is_not(rehearsal: Rehearsal) -> None:
    stop = {"order_type": OrderType.SL, "trigger_price": Decimal("1510.00"), "price": Decimal("1512.00")}
    order = await exhausted(rehearsal, **stop)
    await change(rehearsal, order, trigger_price=Decimal("1509.00"))
    await rehearsal.until(order, S.OPEN)
    assert [each.status for each in await rows(rehearsal, order)] == ["CANCELLED", "TRIGGER_PENDING"]
    for number in range(MAX_MODIFICATIONS):
        await change(rehearsal, order, trigger_price=Decimal(1510 + number % 2))
    await rehearsal.quote(1513.0)  # it triggers, and rests at its limit

    async def triggered() -> bool:
        return bool((await rows(rehearsal, order))[1].status == "OPEN")

    await eventually(triggered)
    await rehearsal.desk.nudge(f"order:{order}")
    assert await refused(change(rehearsal, order, price=Decimal("1511.50"))) == "ORDER_MODIFICATIONS_EXHAUSTED"


async def test_a_cancel_that_comes_meanwhile_wins(rehearsal: Rehearsal) -> None:
    order = await exhausted(rehearsal)
    cancel = rehearsal.broker.cancel
    meanwhile: list[asyncio.Task[Any]] = []

    async def beside_another(broker_order_id: str) -> None:
        rehearsal.broker.cancel = cancel  # type: ignore[method-assign]
        meanwhile.append(asyncio.create_task(rehearsal.desk.cancel(order, CancelCommand(actor=ANNA))))

        async def asked() -> bool:
            history = await rehearsal.client.get_workflow_handle(f"order:{order}").fetch_history()
            return any(
                event.HasField("workflow_execution_update_accepted_event_attributes")
                and event.workflow_execution_update_accepted_event_attributes.accepted_request.input.name == "cancel"
                for event in history.events
            )

        await eventually(asked)
        await cancel(broker_order_id)

    rehearsal.broker.cancel = beside_another  # type: ignore[method-assign]
    await change(rehearsal, order, price=Decimal("1402.00"))
    await asyncio.gather(*meanwhile)
    await rehearsal.until(order, S.CANCELLED)
    assert [each.status for each in await rows(rehearsal, order)] == ["CANCELLED"]
