"""Reconciliation on real servers: the paper exchange as the broker, trades made there behind the ledger's back."""

import asyncio
import itertools
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from redis.asyncio import Redis
from sqlalchemy import text

from alphapanda.brokers.paper.faults import PaperFault
from alphapanda.domain.execution import BookStatus, OrderRequest, TradeReport
from alphapanda.domain.ids import Broker, OrderId, Tag, WorkflowId, order_tag
from alphapanda.domain.signal import OrderTerms
from alphapanda.domain.states import OrderState
from alphapanda.domain.vocabulary import Exchange, OrderType, Product, Side
from alphapanda.ledger.brokers import register_brokers
from alphapanda.ledger.external import book_external
from alphapanda.live.reconciled import read_reconciled
from tests.rehearsal import PAPER, Rehearsal
from tests.workflow.audit import audit
from tests.workflow.support import arm, edit_book, eventually, fill_behind, holding, nudge, resting
from workers.reconciling import Reconciler

S = OrderState

_numbers = itertools.count(1)

DIFFERENCES = """
SELECT coalesce(f.trade_id, t.trade_id) AS trade_id FROM fills f FULL JOIN paper_trades t USING (broker, trade_id)
WHERE (f.broker_order_id, f.exchange, f.tradingsymbol, f.product, f.side, f.quantity, f.price, f.charges, f.traded_at)
    IS DISTINCT FROM (t.broker_order_id, t.exchange, t.tradingsymbol, t.product, t.side, t.quantity, t.price, t.charges,
        t.traded_at)
UNION ALL
SELECT p.tradingsymbol FROM paper_positions p FULL JOIN (
    SELECT broker, exchange, tradingsymbol, product, sum(quantity) AS quantity, sum(charges) AS charges,
        sum(realised - cost) AS cash FROM positions GROUP BY 1, 2, 3, 4
) held USING (broker, exchange, tradingsymbol, product)
WHERE (p.quantity, p.charges, p.realised - p.cost) IS DISTINCT FROM (held.quantity, held.charges, held.cash)
UNION ALL
SELECT 'the day' FROM portfolio_days d JOIN (
    SELECT broker, count(*) AS fills, sum(charges) AS charges FROM paper_trades GROUP BY 1
) t USING (broker) WHERE (d.fills, d.charges) IS DISTINCT FROM (t.fills, t.charges)
"""


async def rows(desk: Rehearsal, query: str, **values: Any) -> list[Any]:
    async with desk.engine.connect() as connection:
        return list((await connection.execute(text(query), values)).all())


async def equal(desk: Rehearsal) -> None:
    """The ledger and the exchange agree to the share and the paisa, and the ledger with itself."""
    assert await rows(desk, DIFFERENCES) == []
    await audit(desk.engine)


async def everything(desk: Rehearsal) -> list[list[Any]]:
    """All that a run might change."""
    tables = ("fills", "positions", "portfolios", "portfolio_days", "orders", "order_events", "reservations")
    orders = {"fills": "trade_id", "positions": "strategy_id, tradingsymbol, product", "order_events": "order_id, seq"}
    return [await rows(desk, f"SELECT * FROM {name} ORDER BY {orders.get(name, '1')}") for name in tables]


async def by_hand(desk: Rehearsal, tag: str | None = None, **terms: Any) -> str:
    """An order at the exchange that no ledger knows; its number. A market buy of 10 INFY for intraday, unless told."""
    chosen: dict[str, Any] = {
        "exchange": Exchange.NSE, "tradingsymbol": "INFY", "side": Side.BUY, "quantity": 10,
        "order_type": OrderType.MARKET, "product": Product.MIS,
    }  # fmt: skip
    tag = tag or f"swing{next(_numbers)}"
    request = OrderRequest(
        broker=PAPER, order_id=OrderId(f"paper:{tag}"), tag=Tag(tag), terms=OrderTerms(**{**chosen, **terms})
    )
    return (await desk.broker.place(request)).broker_order_id


async def drift(desk: Rehearsal) -> list[Any]:
    return await rows(desk, "SELECT * FROM drift ORDER BY id")


def reconciler(desk: Rehearsal) -> Reconciler:
    """As another process would make it."""
    return Reconciler(PAPER, desk.engine, desk.redis, desk.desk, desk.watch, calendar=None, grace=timedelta(0))


async def test_trades_made_by_hand_are_booked_as_external_once_and_the_books_are_equal(rehearsal: Rehearsal) -> None:
    await holding(rehearsal, 5)
    await rehearsal.quote(1510.0, volume=4)
    number = await by_hand(rehearsal)  # fills in two parts, so that its charges go by the order's total
    await rehearsal.reconcile(2)
    await rehearsal.quote(1512.0)

    async def all_filled() -> bool:
        report = await rehearsal.broker.order(number)
        return report is not None and report.filled_quantity == 10

    await eventually(all_filled)
    await by_hand(rehearsal, side=Side.SELL, quantity=12)
    await by_hand(rehearsal, product=Product.CNC, quantity=3)
    await rehearsal.reconcile(2)
    await equal(rehearsal)
    before = await everything(rehearsal)
    await rehearsal.reconcile(3)
    assert await everything(rehearsal) == before
    assert await drift(rehearsal) == []
    external = await rows(rehearsal, "SELECT * FROM fills WHERE order_id IS NULL ORDER BY traded_at")
    assert [(fill.strategy_id, fill.quantity) for fill in external] == [("EXTERNAL", q) for q in (4, 6, 12, 3)]


async def test_a_square_off_by_the_broker_leaves_the_ledger_flat_and_the_next_exit_an_entry(
    rehearsal: Rehearsal,
) -> None:
    await holding(rehearsal, 10)
    await by_hand(rehearsal, side=Side.SELL)
    await rehearsal.reconcile(2)
    await equal(rehearsal)
    assert await rehearsal.scalar("SELECT sum(quantity) FROM positions") == 0
    order = await rehearsal.send(side=Side.SELL, order_type=OrderType.LIMIT, price=Decimal(1600))
    await rehearsal.until(order, S.OPEN)
    assert await rehearsal.scalar("SELECT is_exit FROM reservations") is False


async def test_orders_of_ours_under_way_are_never_taken_for_somebody_else_s(rehearsal: Rehearsal) -> None:
    await arm(rehearsal, PaperFault.LOSE_REPLY, 3)
    sending = [asyncio.create_task(rehearsal.send(quantity=n)) for n in range(1, 11)]
    for _ in range(10):
        await rehearsal.reconcile()
    for order in await asyncio.gather(*sending):
        await rehearsal.until(order, S.FILLED)
    await rehearsal.reconcile(2)
    assert await rehearsal.scalar("SELECT count(*) FROM fills WHERE order_id IS NULL") == 0
    await equal(rehearsal)
    assert [row for row in await drift(rehearsal) if row.cleared_at is None] == []


async def test_two_processes_that_reconcile_at_once_book_a_trade_once(rehearsal: Rehearsal) -> None:
    others = [reconciler(rehearsal) for _ in range(4)]
    await by_hand(rehearsal)
    for _ in range(3):
        await asyncio.gather(*(each.run(rehearsal.broker) for each in others))
    assert await rehearsal.scalar("SELECT count(*) FROM fills") == 1
    await equal(rehearsal)


async def test_what_is_pushed_of_an_order_without_a_workflow_is_not_believed_before_the_book_is_read(
    rehearsal: Rehearsal,
) -> None:
    order = await resting(rehearsal)
    row = await rehearsal.row(order)
    await rehearsal.client.get_workflow_handle(row.workflow_id).terminate("by a person")
    report = await rehearsal.broker.order(row.broker_order_id)
    assert report is not None
    await rehearsal.watch.on_update(report.model_copy(update={"status": BookStatus.CANCELLED, "trades": None}))
    assert (await rehearsal.row(order)).state == S.OPEN
    await rehearsal.broker.cancel(row.broker_order_id)
    await rehearsal.reconcile(2)
    assert (await rehearsal.row(order)).state == S.CANCELLED


async def test_a_trade_that_cannot_be_booked_holds_up_no_other(
    rehearsal: Rehearsal, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = await by_hand(rehearsal), await by_hand(rehearsal, quantity=7)
    shown = await rehearsal.broker.trades()
    absurd = {"price": Decimal("1e17")}  # beyond what the ledger's column holds

    async def trades() -> list[TradeReport]:
        return [each.model_copy(update=absurd if each.broker_order_id == bad else {}) for each in shown]

    monkeypatch.setattr(rehearsal.broker, "trades", trades)
    await set_position(rehearsal, 99)
    await rehearsal.reconcile(3)
    assert await rows(rehearsal, "SELECT broker_order_id FROM fills") == [(good,)]
    assert [row.kind for row in await drift(rehearsal)] == ["POSITION_QUANTITY"]


async def test_a_book_that_cannot_be_read_changes_nothing(rehearsal: Rehearsal) -> None:
    await holding(rehearsal)
    await by_hand(rehearsal)
    await rehearsal.reconcile()
    before = await everything(rehearsal)
    await arm(rehearsal, PaperFault.BOOK_UNAVAILABLE, 100)
    standing = await rehearsal.reconcile(2)
    assert standing.outcome.judged == frozenset()
    assert await everything(rehearsal) == before
    assert await drift(rehearsal) == []


async def test_drift_is_one_row_from_when_it_stands_until_it_is_gone_and_a_new_one_when_it_comes_back(
    rehearsal: Rehearsal,
) -> None:
    await holding(rehearsal)
    await set_position(rehearsal, 25)
    await rehearsal.reconcile()
    assert await drift(rehearsal) == []
    await rehearsal.reconcile()
    (found,) = await drift(rehearsal)
    assert (found.broker, found.kind, found.key) == ("paper", "POSITION_QUANTITY", "NSE:INFY:MIS")
    assert found.evidence["broker"] == 25
    assert found.evidence["ledger"] == 10
    await rehearsal.reconcile(2)
    (again,) = await drift(rehearsal)
    assert again.id == found.id
    assert again.seen_at > found.seen_at
    assert again.cleared_at is None
    await arm(rehearsal, PaperFault.BOOK_UNAVAILABLE, 6)
    await rehearsal.reconcile()
    assert (await drift(rehearsal))[0].cleared_at is None  # nothing was read, so nothing is settled
    await arm(rehearsal, PaperFault.BOOK_UNAVAILABLE, 0)
    await set_position(rehearsal, 10)
    await rehearsal.reconcile()
    assert (await drift(rehearsal))[0].cleared_at is not None
    await set_position(rehearsal, 25)
    await rehearsal.reconcile(2)
    assert [row.cleared_at is None for row in await drift(rehearsal)] == [False, True]


async def set_position(desk: Rehearsal, quantity: int) -> None:
    """The broker counts otherwise than its trades add up."""
    async with desk.engine.begin() as connection:
        await connection.execute(text("UPDATE paper_positions SET quantity = :quantity"), {"quantity": quantity})


async def test_drift_of_the_day_that_can_no_longer_be_checked_is_not_cleared(rehearsal: Rehearsal) -> None:
    await holding(rehearsal)
    (trade,) = await rehearsal.broker.trades()
    phantom = trade.model_copy(update={"trade_id": "phantom"})
    await book_external(rehearsal.engine, PAPER, [phantom], now=trade.traded_at, charge=lambda *_: None)
    await rehearsal.reconcile(2)
    (found,) = await drift(rehearsal)
    assert (found.kind, found.key) == ("TRADE_NOT_AT_BROKER", "phantom")
    for table, column in (("fills", "traded_at"), ("drift", "seen_at")):
        await execute(rehearsal, f"UPDATE {table} SET {column} = {column} - interval '1 day' WHERE true")
    await rehearsal.reconcile(2)
    assert [(row.key, row.cleared_at) for row in await drift(rehearsal) if row.key == "phantom"] == [("phantom", None)]


async def execute(desk: Rehearsal, statement: str) -> None:
    async with desk.engine.begin() as connection:
        await connection.execute(text(statement))


async def test_an_order_whose_workflow_was_terminated_is_closed_from_the_book(rehearsal: Rehearsal) -> None:
    await holding(rehearsal)
    filled, cancelled = await resting(rehearsal), await resting(rehearsal)
    for order in (filled, cancelled):
        await rehearsal.client.get_workflow_handle(f"order:{order}").terminate("by mistake")
    await fill_behind(rehearsal, filled, 10, "COMPLETE")
    await set_position(rehearsal, 20)
    await edit_book(rehearsal, cancelled, status="CANCELLED")
    await rehearsal.reconcile()
    assert ((await rehearsal.row(filled)).state, (await rehearsal.row(cancelled)).state) == (S.FILLED, S.CANCELLED)
    assert await rehearsal.scalar("SELECT count(*) FROM reservations") == 0
    await rehearsal.reconcile(2)
    assert await drift(rehearsal) == []
    await audit(rehearsal.engine)


async def test_a_tag_of_ours_that_the_ledger_lost_is_shown_and_its_trades_are_counted(rehearsal: Rehearsal) -> None:
    number = await by_hand(rehearsal, order_tag(WorkflowId("order:paper:forgotten")))
    await rehearsal.reconcile(2)
    assert [(row.kind, row.key) for row in await drift(rehearsal)] == [("ORDER_TAG_UNKNOWN", number)]
    await equal(rehearsal)


async def test_a_trade_booked_as_external_is_not_booked_again_when_its_order_turns_out_to_be_ours(
    rehearsal: Rehearsal,
) -> None:
    order = await resting(rehearsal)
    await fill_behind(rehearsal, order, 10, "COMPLETE")
    (trade,) = await rehearsal.broker.trades()
    assert await book_external(rehearsal.engine, PAPER, [trade], now=trade.traded_at, charge=lambda *_: None) == 1
    assert await book_external(rehearsal.engine, PAPER, [trade], now=trade.traded_at, charge=lambda *_: None) == 0
    await nudge(rehearsal, order)
    await rehearsal.reconcile(2)
    assert await rehearsal.scalar("SELECT count(*) FROM fills") == 1
    assert await rehearsal.scalar("SELECT sum(quantity) FROM positions") == 10


async def test_a_trade_of_the_same_id_at_another_broker_is_another_trade(rehearsal: Rehearsal) -> None:
    other = Broker("zerodha")
    await by_hand(rehearsal)
    (trade,) = await rehearsal.broker.trades()
    await register_brokers(rehearsal.engine, [other], now=trade.traded_at)
    for broker in (PAPER, other, PAPER, other):
        await book_external(rehearsal.engine, broker, [trade], now=trade.traded_at, charge=lambda *_: None)
    booked = await rows(rehearsal, "SELECT broker, quantity FROM positions ORDER BY broker")
    assert [tuple(row) for row in booked] == [("paper", 10), ("zerodha", 10)]


@pytest.mark.parametrize("failing", [False, True])
async def test_the_worker_reconciles_at_start_and_whenever_it_is_asked(
    rehearsal: Rehearsal, redis: "Redis", failing: bool
) -> None:
    if failing:  # a run that fails is tried again, and the worker goes on
        await execute(rehearsal, "ALTER TABLE drift RENAME TO hidden")
    runner, stop = reconciler(rehearsal), asyncio.Event()
    await by_hand(rehearsal)
    keeping = asyncio.create_task(runner.keep(rehearsal.broker, stop))
    if not failing:
        assert await eventually(lambda: read_reconciled(redis, PAPER))
    else:
        await execute(rehearsal, "ALTER TABLE hidden RENAME TO drift")

    async def booked() -> bool:
        await runner.soon()
        return bool(await rehearsal.scalar("SELECT count(*) FROM fills"))

    await eventually(booked)
    stop.set()
    await keeping
    told = await read_reconciled(redis, PAPER)
    assert told is not None
    assert told.unread == {}
    assert told.cash == (await rehearsal.broker.margins()).cash
