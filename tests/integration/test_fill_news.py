"""Strategies hear of their fills from the ledger, each once, however late it was booked."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import insert

from alphapanda.domain.ids import Broker, StrategyId
from alphapanda.domain.signal import Signal
from alphapanda.domain.vocabulary import Side
from alphapanda.feed.fills import FillNews, keep_told
from alphapanda.feed.runner import FeedRunner
from alphapanda.feed.simulator import SimulatorSource
from alphapanda.ledger.engine import LedgerEngine
from alphapanda.ledger.models import FillRow
from alphapanda.live.quotes import Tick
from alphapanda.strategies.contract import Fill, Intent, Strategy, StrategyParams
from alphapanda.strategies.deployment import Deployment

NOW = datetime(2026, 3, 4, 10, 0, tzinfo=UTC)
MINE = StrategyId("sells-its-fills")


async def book(engine: LedgerEngine, trade_id: str, at: datetime, **facts: Any) -> None:
    row = {
        "broker": "paper", "trade_id": trade_id, "order_id": None, "broker_order_id": "1", "strategy_id": MINE,
        "exchange": "NSE", "tradingsymbol": "INFY", "product": "MIS", "side": "BUY", "quantity": 5,
        "price": Decimal("1450.05"), "traded_at": at, "booked_at": at, **facts,
    }  # fmt: skip
    async with engine.begin() as connection:
        await connection.execute(insert(FillRow), [row])


async def test_each_fill_of_the_strategies_is_given_once_oldest_first(ledger_engine: LedgerEngine) -> None:
    news = FillNews(ledger_engine, NOW - timedelta(hours=1))
    await book(ledger_engine, "t2", NOW, side="SELL")
    await book(ledger_engine, "t1", NOW - timedelta(seconds=1))
    await book(ledger_engine, "t3", NOW, strategy_id="other")
    found = await news.look([MINE], NOW)
    paper = Broker("paper")
    assert found == [
        (MINE, Fill("NSE:INFY", Side.BUY, 5, Decimal("1450.05"), NOW.timestamp() - 1, paper)),
        (MINE, Fill("NSE:INFY", Side.SELL, 5, Decimal("1450.05"), NOW.timestamp(), paper)),
    ]
    await book(ledger_engine, "t1", NOW, broker="zerodha")
    assert [fill.broker for _, fill in await news.look([MINE], NOW)] == ["zerodha"]
    assert await news.look([MINE], NOW) == []


async def test_a_fill_that_is_booked_late_is_found_by_the_look_at_the_whole_day(ledger_engine: LedgerEngine) -> None:
    news = FillNews(ledger_engine, NOW - timedelta(hours=3))
    await book(ledger_engine, "late", NOW - timedelta(hours=2))
    assert await news.look([MINE], NOW) == []
    assert len(await news.look([MINE], NOW, back=timedelta(days=1))) == 1


async def test_what_was_traded_before_the_start_is_not_told(ledger_engine: LedgerEngine) -> None:
    await book(ledger_engine, "before", NOW - timedelta(seconds=2))
    news = FillNews(ledger_engine, NOW - timedelta(seconds=1))
    assert await news.look([MINE], NOW, back=timedelta(days=1)) == []


class SellsItsFills(Strategy[StrategyParams]):
    name, version, Params = MINE, "1", StrategyParams

    def on_fill(self, fill: Fill) -> Sequence[Intent]:
        return [Intent(side=fill.side.opposite, quantity=fill.quantity, reason=f"filled at {fill.price}")]


async def test_a_strategy_in_a_running_feed_answers_to_a_fill_in_the_ledger(ledger_engine: LedgerEngine) -> None:
    signals: asyncio.Queue[Signal] = asyncio.Queue()

    async def publish(ticks: Sequence[Tick]) -> None:
        pass

    source = SimulatorSource(["INFY"], seed=7, ticks_per_second=200, now=time.time)
    deployment = Deployment(SellsItsFills, StrategyParams(), MINE)
    feed = FeedRunner(source, [deployment], publish, signals.put, (Broker("paper"),), time.time)
    started = datetime.now(UTC)
    running = asyncio.create_task(feed.run())
    telling = asyncio.create_task(keep_told(FillNews(ledger_engine, started), feed, every_s=0.01))
    try:
        async with asyncio.timeout(30):
            await book(ledger_engine, "t1", datetime.now(UTC))
            signal = await signals.get()
    finally:
        telling.cancel()
        await asyncio.gather(telling, return_exceptions=True)
        await feed.stop()
        await running
    assert signal.summary == "SELL 5 NSE:INFY @ MARKET"
    assert signal.metadata["reason"] == "filled at 1450.0500"
    assert signals.empty()
