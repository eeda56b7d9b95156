"""Several processes on one paper account: no order is filled twice, no rupee spent twice, no volume taken twice."""

import asyncio
import random
from decimal import Decimal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.brokers.protocol import BrokerError, BrokerRejected
from alphapanda.domain.execution import BookStatus, OrderChange
from tests.integration.brokers.conftest import Market, Open, Opened, check_the_books, until


async def _two(open_broker: Open, market: Market) -> list[Opened]:
    desks = [await open_broker(), await open_broker()]
    for desk in desks:
        desk.start()
        await desk.listening(market)
    return desks


async def test_two_processes_on_the_same_ticks_fill_each_order_once(
    open_broker: Open, market: Market, ledger_engine: AsyncEngine
) -> None:
    desks = await _two(open_broker, market)
    chosen = random.Random(5)  # noqa: S311 - a repeatable market, no secret

    async def trade(desk: Opened, name: str) -> None:
        for number in range(25):
            side = chosen.choice(["BUY", "SELL"])
            price = str(1500 + chosen.randint(-4, 4))
            await desk.place(f"{name}{number}", side=side, order_type="LIMIT", price=price, quantity=10)

    async def move() -> None:
        for _ in range(40):
            await market.quote(1500 + chosen.randint(-5, 5), volume=chosen.choice([7, 15, 40]))

    await asyncio.gather(*(trade(desks[n % 2], f"N{n}-") for n in range(4)), move())

    async def all_filled() -> bool:
        for price in (1490.0, 1510.0):
            await market.quote(price, volume=500)
        return all(order.status is BookStatus.COMPLETE for order in await desks[0].broker.orders())

    await until(all_filled)
    await check_the_books(ledger_engine)
    async with ledger_engine.connect() as connection:
        most = await connection.scalar(
            text("SELECT max(q) FROM (SELECT sum(quantity) AS q FROM paper_trades GROUP BY tick) AS t")
        )
        assert await connection.scalar(text("SELECT sum(quantity) FROM paper_trades")) == 1000
        assert most is not None
        assert most <= 500


async def test_a_ticks_volume_is_shared_by_two_processes(
    open_broker: Open, market: Market, ledger_engine: AsyncEngine
) -> None:
    desks = await _two(open_broker, market)
    resting = [await desks[n % 2].place(f"R{n}", order_type="LIMIT", price="1490", quantity=10) for n in range(6)]
    for desk in desks:  # both know all six before the tick comes
        await desk.broker._matcher.step(catch_up=True)
    tick = await market.quote(1489, volume=25)

    async def spent() -> bool:
        reports = [await desks[0].broker.order(order.broker_order_id) for order in resting]
        return sum(report.filled_quantity for report in reports if report is not None) >= 25

    await until(spent)
    for desk in desks:
        desk.broker._matcher.take([tick])  # heard again, as after a renewed subscription
        await desk.broker._matcher.step(catch_up=True)
    async with ledger_engine.connect() as connection:
        assert await connection.scalar(text("SELECT sum(quantity) FROM paper_trades")) == 25
    await check_the_books(ledger_engine)


async def test_two_processes_cannot_spend_the_same_rupees(
    open_broker: Open, market: Market, ledger_engine: AsyncEngine
) -> None:
    cash = Decimal(100_000)
    desks = [await open_broker(starting_cash=cash), await open_broker(starting_cash=cash)]
    await market.quote(1500)
    ended = await asyncio.gather(*(desks[n % 2].place_anyway(f"T{n}", product="CNC", quantity=10) for n in range(20)))
    assert sum(error is None for error in ended) == 6  # 15,000 and its charges each
    assert sum(isinstance(error, BrokerRejected) for error in ended) == 14
    assert (await desks[0].broker.margins()).cash > 0
    await check_the_books(ledger_engine, cash)


async def test_cancels_and_modifications_race_fills_and_every_order_ends_once(
    open_broker: Open, market: Market, ledger_engine: AsyncEngine
) -> None:
    desks = await _two(open_broker, market)
    orders = [await desks[n % 2].place(f"R{n}", order_type="LIMIT", price="1490", quantity=10) for n in range(30)]
    accepted: dict[str, str] = {}

    async def disturb(number: int) -> None:
        order_id, desk = orders[number].broker_order_id, desks[(number + 1) % 2].broker
        try:
            if number % 3:
                await desk.cancel(order_id)
                accepted[order_id] = "CANCELLED"
            else:
                await desk.modify(order_id, OrderChange(quantity=20))
                accepted[order_id] = "MODIFIED"
        except BrokerError:
            accepted[order_id] = "REFUSED"

    async def move() -> None:
        for _ in range(12):
            await market.quote(1489, volume=25)
            await asyncio.sleep(0)

    await asyncio.gather(move(), *(disturb(number) for number in range(30)))

    async def all_ended() -> bool:
        await market.quote(1489)
        return all(order.status.is_final for order in await desks[0].broker.orders())

    await until(all_ended)
    for order in await desks[0].broker.orders():
        match accepted[order.broker_order_id]:
            case "CANCELLED":
                assert order.status is BookStatus.CANCELLED
            case "MODIFIED":
                assert (order.status, order.filled_quantity) == (BookStatus.COMPLETE, 20)
            case _:
                assert (order.status, order.filled_quantity) == (BookStatus.COMPLETE, 10)
    await check_the_books(ledger_engine)


async def test_fifty_orders_at_once_land_as_fifty_orders_with_ids_of_their_own(
    open_broker: Open, market: Market, ledger_engine: AsyncEngine
) -> None:
    desks = [await open_broker(), await open_broker()]
    await market.quote(1500)
    reports = await asyncio.gather(*(desks[n % 2].place(f"T{n}", quantity=1) for n in range(50)))
    assert len({report.broker_order_id for report in reports}) == 50
    trades = await desks[0].broker.trades()
    assert len({trade.trade_id for trade in trades}) == 50
    (position,) = await desks[0].broker.positions()
    assert position.quantity == 50
    await check_the_books(ledger_engine)
