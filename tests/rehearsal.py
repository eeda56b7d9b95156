"""A whole order desk in one process, on the real servers: workflows, ledger, the paper exchange and its worker."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis
from sqlalchemy import text
from temporalio.client import Client
from temporalio.worker import Worker

from activities.broker_calls import BrokerActivities
from alphapanda.brokers.paper.adapter import PaperBroker
from alphapanda.domain.ids import Broker, OrderId, SignalId, StrategyId, broker_task_queue, order_id
from alphapanda.domain.instrument import Instrument, InstrumentType
from alphapanda.domain.signal import Signal
from alphapanda.domain.states import OrderState
from alphapanda.domain.vocabulary import Exchange, OrderType, Product, Side
from alphapanda.ledger.brokers import register_brokers
from alphapanda.ledger.engine import LedgerEngine
from alphapanda.ledger.instruments import InstrumentCache, save_instruments
from alphapanda.live.quotes import Tick, publish
from alphapanda.reconciliation.grace import Standing
from alphapanda.settings import Settings
from workers.book_watch import BookWatch
from workers.reconciling import Reconciler
from workflows.desk import OrderDesk, order_policy
from workflows.runtime import market_calendar, orders_worker

PAPER = Broker("paper")
PATIENCE_S = 30.0

INFY = Instrument(Exchange.NSE, "INFY", 408065, InstrumentType.EQUITY, "NSE_EQ", Decimal("0.05"), 1)
NIFTY_FUTURE = Instrument(
    Exchange.NFO,
    "NIFTY26DECFUT",
    9000001,
    InstrumentType.FUTURE,
    "NSE_FNO",
    Decimal("0.1"),
    65,
    expiry=date(2026, 12, 29),
)
NIFTY = Instrument(Exchange.NSE, "NIFTY 50", 256265, InstrumentType.INDEX, "NSE_EQ", Decimal("0.05"), 1)


@dataclass
class Rehearsal:
    """Handles on the running parts, and the few words the tests speak in."""

    settings: Settings
    engine: LedgerEngine
    redis: "Redis"
    client: Client
    desk: OrderDesk
    broker: PaperBroker
    watch: BookWatch
    reconciler: Reconciler
    sent: list[OrderId] = field(default_factory=list)

    async def quote(
        self, price: float = 1500.0, *, symbol: str = "INFY", volume: int = 100_000, age_s: float = 0.0
    ) -> None:
        """Publish one tick, as a feed would."""
        now = time.time() - age_s
        await publish(self.redis, [Tick(f"NSE:{symbol}", price, now, now, volume, price - 0.05, price + 0.05)])

    async def send(self, **terms: Any) -> OrderId:
        """Accept a signal made of a market buy of 10 INFY and the given terms; returns its order at paper."""
        signal = make_signal(**terms)
        await self.desk.accept(signal, correlation_id=uuid4().hex)
        order = order_id(PAPER, signal.signal_id)
        self.sent.append(order)
        return order

    async def reconcile(self, runs: int = 1) -> Standing:
        """Reconcile that often, the timer's way but at once; what the last run came to."""
        for _ in range(runs):
            standing = await self.reconciler.run(self.broker)
        return standing

    async def row(self, order: OrderId) -> Any:
        async with self.engine.connect() as connection:
            return (await connection.execute(text("SELECT * FROM orders WHERE order_id = :id"), {"id": order})).one()

    async def until(self, order: OrderId, *states: OrderState) -> Any:
        """The order's ledger row once it is in one of the states. Fails with its events when it takes too long."""
        deadline = time.monotonic() + PATIENCE_S
        while (row := await self.row(order)).state not in states:
            if time.monotonic() > deadline:
                raise AssertionError(f"{order} is {row.state} ({row.reason}), not {states}: {await self.path(order)}")
            await asyncio.sleep(0.02)
        return row

    async def path(self, order: OrderId) -> list[str]:
        """The states the order went through, oldest first."""
        return [row.to_state for row in await self.events(order)]

    async def events(self, order: OrderId) -> list[Any]:
        async with self.engine.connect() as connection:
            query = text("SELECT * FROM order_events WHERE order_id = :id ORDER BY seq")
            return list((await connection.execute(query, {"id": order})).all())

    async def scalar(self, query: str, **values: Any) -> Any:
        async with self.engine.connect() as connection:
            return (await connection.execute(text(query), values)).scalar_one()


def make_signal(**terms: Any) -> Signal:
    defaults: dict[str, Any] = {
        "signal_id": SignalId(uuid4().hex),
        "strategy_id": StrategyId("test"),
        "brokers": (PAPER,),
        "exchange": Exchange.NSE,
        "tradingsymbol": "INFY",
        "side": Side.BUY,
        "quantity": 10,
        "order_type": OrderType.MARKET,
        "product": Product.MIS,
        "generated_at": datetime.now(UTC),
    }
    return Signal(**{**defaults, **terms})


@contextlib.asynccontextmanager
async def rehearse(
    settings: Settings, engine: LedgerEngine, redis: "Redis", client: Client, *, broker_worker: bool = True
) -> AsyncIterator[Rehearsal]:
    """Everything running; whatever workflows a test leaves open are ended with it."""
    await register_brokers(engine, [PAPER], now=datetime.now(UTC))
    async with engine.begin() as connection:
        await save_instruments(connection, [INFY, NIFTY_FUTURE, NIFTY], source="test", as_of=date(2026, 11, 20))
    desk = OrderDesk(client, engine, order_policy(settings))
    watch = BookWatch(PAPER, engine, desk)
    calendar = market_calendar(settings)
    broker = PaperBroker(PAPER, engine, redis, settings.paper, InstrumentCache(engine), calendar, watch.on_update)
    reconciler = Reconciler(PAPER, engine, redis, desk, watch, calendar=calendar, grace=timedelta(0))
    rehearsal = Rehearsal(settings, engine, redis, client, desk, broker, watch, reconciler)
    async with contextlib.AsyncExitStack() as running:
        running.push_async_callback(_end_all, client)
        await running.enter_async_context(orders_worker(client, engine, redis, settings))
        if broker_worker:
            await running.enter_async_context(broker_worker_of(rehearsal))
        await desk.ensure_broker(PAPER)
        await rehearsal.quote()
        yield rehearsal


@contextlib.asynccontextmanager
async def broker_worker_of(rehearsal: Rehearsal) -> AsyncIterator[Worker]:
    """The paper broker's queue being served, and its exchange matching."""
    calls = BrokerActivities(broker=rehearsal.broker, engine=rehearsal.engine)
    worker = Worker(
        rehearsal.client,
        task_queue=broker_task_queue(PAPER),
        activities=[calls.submit_order, calls.look_up_order, calls.cancel_order, calls.modify_order],
        default_heartbeat_throttle_interval=timedelta(seconds=1),
        max_heartbeat_throttle_interval=timedelta(seconds=1),
    )
    matching = asyncio.create_task(rehearsal.broker.run())
    try:
        async with worker:
            yield worker
    finally:
        matching.cancel()
        await asyncio.gather(matching, return_exceptions=True)


async def _end_all(client: Client) -> None:
    async for each in client.list_workflows('ExecutionStatus = "Running"'):
        with contextlib.suppress(Exception):  # it may have ended by itself meanwhile
            await client.get_workflow_handle(each.id).terminate("the test is over")
