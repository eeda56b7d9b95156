"""A paper broker on real tables and real quotes. Several may be opened on the same account, as processes would."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.brokers.paper.adapter import PaperBroker
from alphapanda.brokers.protocol import BrokerError
from alphapanda.domain.execution import OrderReport
from alphapanda.ledger.engine import create_ledger_engine
from alphapanda.ledger.instruments import InstrumentCache, save_instruments
from alphapanda.live.quotes import Tick, publish
from alphapanda.settings import PaperSettings
from tests.unit.brokers.paper_desk import CALL, INFY, PAPER, request

pytest.register_assert_rewrite(
    *(f"tests.integration.brokers.conformance_{part}" for part in ("orders", "changes", "trouble", "desk"))
)

PATIENCE_S = 20.0


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Wait for a fact that another task is about to make true."""
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():
            await asyncio.sleep(0.01)


@dataclass
class Opened:
    """A broker of one "process": its own connections, its own memory, its own `run()`."""

    broker: PaperBroker
    engine: AsyncEngine
    updates: list[OrderReport] = field(default_factory=list)
    running: "asyncio.Task[None] | None" = None

    def start(self) -> None:
        self.running = asyncio.create_task(self.broker.run())

    async def listening(self, market: "Market", instrument: str = "NSE:INFY") -> None:
        """Until ticks reach this broker."""

        async def heard() -> bool:
            await market.quote(market.price)
            return self.broker._matcher.quote(instrument) is not None

        await until(heard)

    async def stop(self) -> None:
        if self.running is not None:
            self.running.cancel()
            with suppress(asyncio.CancelledError):
                await self.running
            self.running = None
        await self.broker.close()
        await self.engine.dispose()

    async def place(self, tag: str, **terms: Any) -> OrderReport:
        placed = await self.broker.place(request(tag, **terms))
        assert placed.report is not None
        return placed.report

    async def place_anyway(self, tag: str, **terms: Any) -> BrokerError | None:
        try:
            await self.broker.place(request(tag, **terms))
        except BrokerError as error:
            return error
        return None

    async def status(self, broker_order_id: str) -> str:
        report = await self.broker.order(broker_order_id)
        return "absent" if report is None else report.status


@dataclass
class Market:
    redis: "Redis"
    price: float = 1500.0

    async def quote(self, price: float, volume: int | None = None, *, age_s: float = 0.0) -> Tick:
        self.price = price
        at = datetime.now(UTC).timestamp() - age_s
        tick = Tick("NSE:INFY", price, at, at, volume)
        await publish(self.redis, [tick])
        return tick


Open = Callable[..., Awaitable[Opened]]


@pytest.fixture
async def market(redis: "Redis") -> Market:
    return Market(redis)


@pytest.fixture
async def open_broker(ledger_engine: AsyncEngine, ledger_url: str, redis: "Redis") -> AsyncIterator[Open]:
    async with ledger_engine.begin() as connection:
        await save_instruments(connection, [INFY, CALL], source="test", as_of=date(2026, 11, 19))
    opened: list[Opened] = []

    async def make(
        *, now: Callable[[], datetime] = lambda: datetime.now(UTC), url: str = ledger_url, **settings: Any
    ) -> Opened:
        engine = create_ledger_engine(url)
        updates: list[OrderReport] = []

        async def on_update(report: OrderReport) -> None:
            updates.append(report)

        broker = PaperBroker(
            PAPER,
            engine,
            redis,
            PaperSettings(**{"slippage_bps": Decimal(0), **settings}),
            InstrumentCache(engine),
            None,
            on_update,
            now=now,
        )
        opened.append(Opened(broker, engine, updates))
        return opened[-1]

    yield make
    for one in opened:
        await one.stop()


async def check_the_books(engine: AsyncEngine, starting_cash: Decimal = Decimal(10_000_000)) -> None:
    """The tables agree with each other, to the share and the paisa."""
    async with engine.connect() as connection:
        wrong = await connection.scalar(
            text(
                "SELECT count(*) FROM paper_orders AS o LEFT JOIN (SELECT broker_order_id, sum(quantity) AS q, "
                "sum(quantity * price) AS t FROM paper_trades GROUP BY 1) AS f USING (broker_order_id) "
                "WHERE o.filled_quantity <> coalesce(f.q, 0) OR o.turnover <> coalesce(f.t, 0) "
                "OR o.filled_quantity > o.quantity"
            )
        )
        assert wrong == 0
        trades = (await connection.execute(text("SELECT sum(charges) FROM paper_trades"))).scalar() or 0
        held = (
            await connection.execute(
                text(
                    "SELECT coalesce(sum(realised), 0) AS realised, "
                    "coalesce(sum(cost) FILTER (WHERE product = 'CNC'), 0) AS paid FROM paper_positions"
                )
            )
        ).one()
        cash = await connection.scalar(text("SELECT cash FROM paper_accounts"))
        assert cash == starting_cash - trades + held.realised - held.paid
        net = await connection.execute(
            text(
                "SELECT p.quantity, coalesce(t.q, 0) FROM paper_positions AS p LEFT JOIN ("
                "SELECT tradingsymbol, product, sum(CASE side WHEN 'BUY' THEN quantity ELSE -quantity END) AS q "
                "FROM paper_trades GROUP BY 1, 2) AS t USING (tradingsymbol, product)"
            )
        )
        assert all(position == traded for position, traded in net)
