"""One signal makes one order per broker, however often and from wherever it comes; limits hold for all together."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from sqlalchemy import text

from alphapanda.domain.ids import OrderId, StrategyId, order_id
from alphapanda.domain.states import OrderState
from alphapanda.domain.vocabulary import OrderType, Side
from alphapanda.ledger.intake import SignalConflict, record_signal
from tests.rehearsal import PAPER, Rehearsal, make_signal
from tests.workflow.conftest import Rehearse
from tests.workflow.support import RESTING, at_exchange
from workflows.desk import OrderDesk, order_policy

S = OrderState


async def test_fifty_accepts_of_one_signal_at_once_make_one_order(rehearsal: Rehearsal) -> None:
    signal = make_signal()
    other_process = OrderDesk(rehearsal.client, rehearsal.engine, order_policy(rehearsal.settings))
    desks = [rehearsal.desk, other_process] * 25
    accepted = await asyncio.gather(*(desk.accept(signal, correlation_id=uuid4().hex) for desk in desks))
    assert sum(each.created for each in accepted) == 1
    assert len({each.orders[0].order_id for each in accepted}) == 1
    order = accepted[0].orders[0].order_id
    await rehearsal.until(order, S.FILLED)
    assert await rehearsal.scalar("SELECT count(*) FROM orders") == 1
    assert await rehearsal.scalar("SELECT count(*) FROM paper_orders") == 1


async def test_a_signal_repeated_after_its_order_has_ended_makes_no_new_one(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders={"late_fill_watch_s": 0}) as desk:
        signal = make_signal()
        accepted = await desk.desk.accept(signal, correlation_id="first")
        order = accepted.orders[0].order_id
        await desk.until(order, S.FILLED)
        await desk.client.get_workflow_handle(f"order:{order}").result()
        again = await desk.desk.accept(signal, correlation_id="second")
        assert not again.created
        assert again.orders[0].state is S.FILLED
        assert len(await at_exchange(desk, order)) == 1


async def test_the_same_id_with_other_content_is_a_conflict(rehearsal: Rehearsal) -> None:
    signal = make_signal()
    await rehearsal.desk.accept(signal, correlation_id="first")
    for changed in ({"quantity": 11}, {"side": Side.SELL}, {"metadata": {"why": "another"}}, {"wait_for_open": True}):
        with pytest.raises(SignalConflict):
            await rehearsal.desk.accept(signal.model_copy(update=changed), correlation_id="second")
    await rehearsal.until(order_id(PAPER, signal.signal_id), S.FILLED)


async def test_the_same_content_is_the_same_signal_however_it_is_written(rehearsal: Rehearsal) -> None:
    first = make_signal(order_type=OrderType.LIMIT, price=Decimal("1400"))
    later = datetime.now(UTC) + timedelta(seconds=5)
    again = first.model_copy(update={"price": Decimal("1400.00"), "generated_at": later})
    assert (await rehearsal.desk.accept(first, correlation_id="a")).created
    assert not (await rehearsal.desk.accept(again, correlation_id="b")).created


async def test_a_signal_whose_process_died_before_the_start_is_started_by_the_sweep(rehearsal: Rehearsal) -> None:
    signal = make_signal(order_type=OrderType.LIMIT, price=Decimal("1510.05"), metadata={"n": 1})
    await record_signal(rehearsal.engine, signal, correlation_id="lost", now=datetime.now(UTC))
    order = order_id(PAPER, signal.signal_id)
    assert (await rehearsal.row(order)).state == S.RECEIVED
    tried = await asyncio.gather(*(rehearsal.desk.start_unstarted([PAPER], older_than=timedelta(0)) for _ in range(5)))
    assert max(tried) == 1
    row = await rehearsal.until(order, S.FILLED)
    assert (row.price, row.correlation_id) == (Decimal("1510.05"), "lost")
    assert len(await at_exchange(rehearsal, order)) == 1


async def test_a_burst_of_signals_never_exceeds_the_position_limit_and_reserves_nothing_at_the_end(
    rehearse_with: Rehearse,
) -> None:
    async with rehearse_with(risk={"max_position_quantity": 200}) as desk:
        orders = await asyncio.gather(*(desk.send(strategy_id=StrategyId(f"s{n % 7}")) for n in range(60)))
        ended = [await desk.until(order, S.FILLED, S.DENIED) for order in orders]
        assert sum(row.state == S.FILLED for row in ended) == 20
        assert {row.reason_code for row in ended if row.state == S.DENIED} == {"RISK_POSITION_QUANTITY"}
        assert await desk.scalar("SELECT sum(quantity) FROM positions") == 200
        assert await desk.scalar("SELECT count(*) FROM reservations") == 0


async def test_resting_orders_of_both_sides_hold_each_sides_limit(rehearse_with: Rehearse) -> None:
    async with rehearse_with(risk={"max_position_quantity": 50}) as desk:
        high = {"side": Side.SELL, "order_type": OrderType.LIMIT, "price": Decimal("1600.00")}
        orders = await asyncio.gather(*(desk.send(**(RESTING if n % 2 else high)) for n in range(30)))
        for order in orders:
            await desk.until(order, S.OPEN, S.DENIED)
        sides = {
            side: await desk.scalar("SELECT sum(quantity) FROM reservations WHERE side = :side", side=side)
            for side in ("BUY", "SELL")
        }
        assert sides == {"BUY": 50, "SELL": 50}


async def test_every_tag_is_stored_with_the_intent_and_shown_at_the_exchange(rehearsal: Rehearsal) -> None:
    order = await rehearsal.send()
    row = await rehearsal.until(order, S.FILLED)
    (there,) = await at_exchange(rehearsal, order)
    assert there.tag == row.tag
    assert len(row.tag) == 20
    assert row.tag.isalnum()


async def test_orders_of_one_burst_have_tags_of_their_own(rehearsal: Rehearsal) -> None:
    orders: list[OrderId] = await asyncio.gather(*(rehearsal.send(quantity=n) for n in range(1, 21)))
    for order in orders:
        await rehearsal.until(order, S.FILLED)
    async with rehearsal.engine.connect() as connection:
        tags = list((await connection.execute(text("SELECT tag FROM orders"))).scalars())
    assert len(set(tags)) == 20
