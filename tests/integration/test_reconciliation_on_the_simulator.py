"""Reconciliation with Zerodha's adapter on the Kite simulator: trades by hand, square-offs and faults, books equal."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from temporalio.client import Client
from temporalio.worker import Worker

from activities.broker_calls import BrokerActivities
from activities.messages import SessionCommand
from alphapanda.brokers.zerodha.adapter import ZerodhaBroker
from alphapanda.domain.ids import Broker, OrderId, broker_task_queue
from alphapanda.domain.states import TERMINAL, OrderState
from alphapanda.domain.vocabulary import OrderType, Product, Variety
from alphapanda.kitesim.faults import Fault
from alphapanda.kitesim.server import KiteSim
from alphapanda.kitesim.settings import SimHolding, SimSettings
from alphapanda.ledger.brokers import register_brokers
from alphapanda.ledger.engine import LedgerEngine
from alphapanda.ledger.instruments import save_instruments
from alphapanda.live.limits import AccountLimits
from alphapanda.live.quotes import Tick, publish
from alphapanda.sessions.tokens import TokenStore
from alphapanda.sessions.vault import Vault
from alphapanda.settings import Settings
from tests.rehearsal import INFY, PATIENCE_S, _end_all, make_signal
from workers.book_watch import BookWatch
from workers.reconciling import Reconciler
from workflows.desk import OrderDesk, order_policy
from workflows.runtime import orders_worker

ZERODHA = Broker("zerodha")
S = OrderState


@dataclass
class Desk:
    sim: KiteSim
    engine: LedgerEngine
    desk: OrderDesk
    broker: ZerodhaBroker
    reconciler: Reconciler

    async def send(self, **terms: Any) -> OrderId:
        accepted = await self.desk.accept(make_signal(brokers=(ZERODHA,), **terms), correlation_id="c")
        return accepted.orders[0].order_id

    async def rows(self, query: str, **values: Any) -> list[Any]:
        async with self.engine.connect() as connection:
            return list((await connection.execute(text(query), values)).all())

    async def until(self, order: OrderId, *states: OrderState) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            (row,) = await self.rows("SELECT * FROM orders WHERE order_id = :id", id=order)
            if row.state in states:
                return
            assert time.monotonic() < deadline, f"{order} is {row.state} ({row.reason}), not {states}"
            await self.reconciler.run(self.broker)
            await asyncio.sleep(0.02)

    async def reconcile(self, runs: int = 2) -> None:
        for _ in range(runs):
            await self.reconciler.run(self.broker)

    async def open_drift(self) -> list[str]:
        return [f"{row.kind} {row.detail}" for row in await self.rows("SELECT * FROM drift WHERE cleared_at IS NULL")]

    async def check_the_books(self) -> None:
        """Every trade of the simulator is booked once, as whose it is; positions are the same."""
        state = self.sim.state()
        of_app = {number: order.is_of_app for number, order in self.sim.account.book.orders.items()}
        told = Counter(
            (f"{row['order_id']}:{row['trade_id']}", row["quantity"], Decimal(str(row["average_price"])),
             of_app[row["order_id"]])
            for row in state["trades"]
        )  # fmt: skip
        booked = Counter(
            (row.trade_id, row.quantity, row.price, row.strategy_id != "EXTERNAL")
            for row in await self.rows("SELECT * FROM fills")
        )
        assert booked == told
        assert state["counters"]["duplicates"] == {}
        net = {
            (row["exchange"], row["tradingsymbol"], row["product"]): row["quantity"]
            for row in state["positions"]
            if row["quantity"]
        }
        held = await self.rows(
            "SELECT exchange, tradingsymbol, product, sum(quantity) AS quantity FROM positions GROUP BY 1, 2, 3"
        )
        assert {tuple(row)[:3]: int(row.quantity) for row in held if row.quantity} == net


@pytest.fixture
async def desk(ledger_engine: LedgerEngine, redis: "Redis", temporal: Client) -> AsyncIterator[Desk]:
    before = (SimHolding(tradingsymbol="SBIN", quantity=100, average_price=Decimal(800)),)
    async with KiteSim(SimSettings(enforce_limits=False, holdings=before)) as sim:
        kite = {
            "api_key": sim.settings.api_key, "api_secret": sim.settings.api_secret, "api_root": sim.url,
            "ticker_root": sim.ws_url, "order_timeout_s": 1, "timeout_s": 5,
            "limits": {"orders_per_second": 1000, "orders_per_minute": 100_000, "reads_per_second": 1000},
        }  # fmt: skip
        orders = {"resolve_interval_s": 0.2, "poll_interval_s": 1}
        settings = Settings.load(_env_file=None, active_brokers=[ZERODHA], zerodha=kite, orders=orders)
        await register_brokers(ledger_engine, [ZERODHA], now=datetime.now(UTC))
        async with ledger_engine.begin() as connection:
            await save_instruments(connection, [INFY], source="test", as_of=date(2026, 11, 20))
        order_desk = OrderDesk(temporal, ledger_engine, order_policy(settings))
        watch = BookWatch(ZERODHA, ledger_engine, order_desk)
        reconciler = Reconciler(
            ZERODHA, ledger_engine, redis, order_desk, watch, calendar=None, grace=timedelta(seconds=0)
        )

        async def lost(_: str) -> None: ...

        broker = ZerodhaBroker(
            ZERODHA, settings.zerodha, TokenStore(ledger_engine, Vault(bytes(32))),
            AccountLimits(redis, ZERODHA, settings.zerodha.limits),
            on_update=watch.on_update, on_reconnect=reconciler.soon, on_session_lost=lost,
        )  # fmt: skip
        calls = BrokerActivities(broker=broker, engine=ledger_engine)
        worker = Worker(
            temporal,
            task_queue=broker_task_queue(ZERODHA),
            activities=[calls.submit_order, calls.look_up_order, calls.cancel_order, calls.modify_order],
        )
        running = asyncio.create_task(broker.run())
        async with orders_worker(temporal, ledger_engine, redis, settings), worker:
            await order_desk.ensure_broker(ZERODHA)
            await broker.open_session(sim.login())
            await order_desk.session_opened(ZERODHA, SessionCommand(actor="test"))
            await sim.set_price("NSE", "INFY", "1500.05")
            now = time.time()
            await publish(redis, [Tick("NSE:INFY", 1500.05, now, now, 100_000, 1500.0, 1500.1)])
            yield Desk(sim, ledger_engine, order_desk, broker, reconciler)
            await _end_all(temporal)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        await broker.close()


async def test_trades_in_the_broker_s_app_and_a_square_off_are_adopted_once(desk: Desk) -> None:
    await desk.until(await desk.send(quantity=10), S.FILLED)
    desk.sim.external_trade("NSE", "INFY", "BUY", 5, price=Decimal("1501.35"))
    desk.sim.external_trade("NSE", "SBIN", "SELL", 30, product="CNC", price=Decimal(801))
    await desk.reconcile()
    desk.sim.square_off(product="MIS")
    await desk.reconcile()
    await desk.check_the_books()
    before = await desk.rows("SELECT * FROM fills ORDER BY trade_id")
    await desk.reconcile(3)
    assert await desk.rows("SELECT * FROM fills ORDER BY trade_id") == before
    assert await desk.open_drift() == []
    assert [row.quantity for row in before if row.order_id is None] == [
        row.quantity for row in before if row.strategy_id == "EXTERNAL"
    ]


async def test_slices_and_legs_of_an_order_of_ours_are_not_somebody_else_s(desk: Desk) -> None:
    iceberg = await desk.send(
        quantity=100, variety=Variety.ICEBERG, iceberg_legs=4, order_type=OrderType.LIMIT, price=Decimal("1500.50")
    )
    await desk.until(iceberg, S.FILLED)
    await desk.reconcile()
    await desk.check_the_books()
    assert await desk.open_drift() == []


async def test_a_dead_session_is_no_empty_account(desk: Desk) -> None:
    await desk.until(await desk.send(quantity=10), S.FILLED)
    desk.sim.external_trade("NSE", "INFY", "SELL", 10)
    desk.sim.expire_session()
    everything = [await desk.rows(f"SELECT * FROM {table}") for table in ("fills", "positions", "drift")]
    await desk.reconcile(3)
    assert [await desk.rows(f"SELECT * FROM {table}") for table in ("fills", "positions", "drift")] == everything
    await desk.broker.open_session(desk.sim.login())
    await desk.reconcile()
    await desk.check_the_books()


async def test_whatever_the_network_does_every_trade_is_booked_once_as_whose_it_is(desk: Desk) -> None:
    """Reconciliation runs all the while, without any grace, and must not take an order under way for another's."""
    faults = (Fault.TIMEOUT_AFTER, Fault.HTML_504, Fault.NO_DATA, Fault.BOOK_LAG, Fault.RESET_AFTER, Fault.PARTIAL_FILL)
    for n, fault in enumerate(faults):
        desk.sim.faults.arm(fault, skip=2 * n, seconds=1.5)
    desk.sim.faults.arm(Fault.UPDATE_LOST, count=20, probability=0.5)
    orders = []
    for n in range(18):
        orders.append(await desk.send(quantity=n + 1, product=Product.MIS))
        if n % 3 == 0:
            desk.sim.external_trade("NSE", "INFY", "SELL" if n % 2 else "BUY", 7, price=Decimal("1499.95"))
        await desk.reconcile(1)
    desk.sim.release()
    for order in orders:
        await desk.until(order, *TERMINAL)
    await desk.reconcile(3)
    await desk.check_the_books()
    assert await desk.open_drift() == []
