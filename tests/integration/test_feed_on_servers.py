"""The feed on real servers: quotes and heartbeats in Redis, instruments in Postgres."""

import asyncio
import time
from contextlib import aclosing
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.domain.ids import Broker
from alphapanda.domain.signal import Signal
from alphapanda.feed.factory import build_source, build_strategies
from alphapanda.feed.instruments import cash_equity, known_instruments
from alphapanda.feed.runner import FeedRunner
from alphapanda.feed.stats import FeedState, FeedStats, read_stats, write_stats
from alphapanda.ledger.instruments import find_instrument, save_instruments
from alphapanda.live import heartbeats, quotes
from alphapanda.settings import FeedSettings, FeedSource

BROKERS = (Broker("paper"),)
TODAY = date(2025, 10, 9)


def feed_on(redis: Redis, feed: FeedSettings, signals: list[Signal]) -> FeedRunner:
    source = build_source(feed, (), now=time.time)
    assert source is not None

    async def emit(signal: Signal) -> None:
        signals.append(signal)

    async def beat(stats: FeedStats) -> None:
        await write_stats(redis, stats, at=time.time())

    publish = partial(quotes.publish, redis)
    return FeedRunner(source, build_strategies(feed), publish, emit, BROKERS, time.time, beat=beat, beat_every_s=0.05)


def recording(folder: Path) -> FeedSettings:
    path = folder / "INFY.csv"
    rows = (
        f"2024-05-21 {9 + m // 60:02d}:{m % 60:02d}:00,{p},{p},{p},{p},400\n" for m, p in enumerate(range(100, 140))
    )
    path.write_text("timestamp,open,high,low,close,volume\n" + "".join(rows))
    return FeedSettings(source=FeedSource.REPLAY, files=(path,))


async def test_a_feed_leaves_its_quotes_and_its_heartbeat_in_redis(redis: Redis, tmp_path: Path) -> None:
    signals: list[Signal] = []
    stats = await feed_on(redis, recording(tmp_path), signals).run()
    assert (stats.state, stats.ticks, stats.ticks_unpublished) == (FeedState.FINISHED, 160, 0)
    quote = await quotes.last_quote(redis, "NSE:INFY")
    assert quote is not None
    assert quote.price == Decimal(139)
    found = await read_stats(redis)
    assert found is not None
    assert found[1] == stats
    assert [signal.strategy_id for signal in signals] == ["momentum-breakout"]


async def test_a_running_feed_fans_its_ticks_out_and_its_heartbeat_follows(redis: Redis) -> None:
    signals: list[Signal] = []
    feed = feed_on(redis, FeedSettings(ticks_per_second=100), signals)
    running = asyncio.create_task(feed.run())
    async with asyncio.timeout(30), aclosing(quotes.tick_batches(redis)) as batches:
        async for batch in batches:
            assert {tick.instrument for tick in batch} <= {f"NSE:{symbol}" for symbol in FeedSettings().symbols}
            break
        while True:
            found = await read_stats(redis)
            if found is not None and found[1].ticks:
                break
            await asyncio.sleep(0.01)
    assert found[1].state is FeedState.RUNNING
    await feed.stop()
    await running
    found = await read_stats(redis)
    assert found is not None
    assert found[1].state is FeedState.STOPPED


async def test_a_feed_stops_at_whatever_moment_of_its_talk_with_redis(redis: Redis) -> None:
    before = asyncio.all_tasks()
    for passes in range(40):
        feed = feed_on(redis, FeedSettings(ticks_per_second=1000), [])
        running = asyncio.create_task(feed.run())
        async with asyncio.timeout(60):
            while not feed.stats().ticks:
                await asyncio.sleep(0.001)
            for _ in range(passes):
                await asyncio.sleep(0)
            await feed.stop()
            stats = await running
        assert (stats.state, stats.ticks_unpublished) == (FeedState.STOPPED, 0)
        assert asyncio.all_tasks() == before


async def test_a_silent_component_is_unknown(redis: Redis) -> None:
    assert await heartbeats.read(redis, "feed") is None
    assert await read_stats(redis) is None


async def test_a_heartbeat_speaks_for_its_broker_alone_and_for_a_limited_time(redis: Redis) -> None:
    paper, zerodha = Broker("paper"), Broker("zerodha")
    await heartbeats.write(redis, "broker", state="RUNNING", at=1.5, detail={"orders": 3}, broker=paper)
    beat = await heartbeats.read(redis, "broker", paper)
    assert beat == heartbeats.Heartbeat("broker", "RUNNING", 1.5, {"orders": 3})
    assert await heartbeats.read(redis, "broker", zerodha) is None
    (key,) = await redis.keys("*heartbeat*")
    assert 0 < await redis.ttl(key) <= heartbeats.TTL_S


async def test_a_sources_instruments_never_displace_those_of_a_dump(ledger_engine: AsyncEngine) -> None:
    dumped = cash_equity("INFY", tick_size=Decimal("0.10"), name="INFOSYS")
    source = build_source(FeedSettings(symbols=("INFY", "SBIN")), (), now=time.time)
    assert source is not None
    async with ledger_engine.begin() as connection:
        await save_instruments(connection, [dumped], source="dump", as_of=TODAY)
        brought = [cash_equity("INFY", tick_size=Decimal("0.5")), *source.instruments.values()]
        await save_instruments(connection, brought, source="simulator", as_of=TODAY, replace=False)
    assert await find_instrument(ledger_engine, "NSE", "INFY") == dumped
    assert await find_instrument(ledger_engine, "NSE", "SBIN") == source.instruments["NSE:SBIN"]


async def test_what_the_ledger_knows_of_a_feeds_instruments_is_found(
    ledger_engine: AsyncEngine, tmp_path: Path
) -> None:
    infy, sbin, index = cash_equity("INFY"), cash_equity("SBIN"), cash_equity("NIFTY 50")
    async with ledger_engine.begin() as connection:
        await save_instruments(connection, [infy, sbin, index], source="dump", as_of=TODAY)
    assert await known_instruments(ledger_engine, FeedSettings(symbols=("INFY", "TCS"))) == (infy,)
    assert await known_instruments(ledger_engine, recording(tmp_path)) == (infy,)
    ticks = tmp_path / "nifty.csv"
    ticks.write_text(f"timestamp,token,ltp\n2025-10-09 10:00:00,{index.instrument_token},25000\n")
    replay = FeedSettings(source=FeedSource.REPLAY, files=(ticks,))
    known = await known_instruments(ledger_engine, replay)
    assert known == (index,)
    source = build_source(replay, known, now=time.time)
    assert source is not None
    assert dict(source.instruments) == {"NSE:NIFTY 50": index}
    assert await known_instruments(ledger_engine, FeedSettings(source=FeedSource.NONE)) == ()
