"""The runner: its lifecycle, and what it does when Redis, the desk, the source or a strategy fails."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path

import pytest

from alphapanda.domain.ids import Broker
from alphapanda.domain.signal import Signal
from alphapanda.feed.outbox import SignalOutbox
from alphapanda.feed.replay import ReplaySource
from alphapanda.feed.replay_files import ReplayFileError
from alphapanda.feed.runner import FeedRunner, FeedStateError
from alphapanda.feed.simulator import SimulatorSource
from alphapanda.feed.source import TickSource
from alphapanda.feed.stats import FeedState, FeedStats
from alphapanda.live.quotes import LiveUnavailable, Tick
from alphapanda.strategies.registry import Deployment, deploy_all

BROKERS = (Broker("paper"),)
HEADER = "timestamp,open,high,low,close,volume\n"


class Desk:
    """What the runner talks to: ticks and signals as they come, in the order they come."""

    def __init__(self) -> None:
        self.log: list[Tick | Signal] = []
        self.beats: list[FeedStats] = []
        self.ticked = asyncio.Event()

    async def publish(self, ticks: Sequence[Tick]) -> None:
        self.log += ticks
        self.ticked.set()

    async def emit(self, signal: Signal) -> None:
        self.log.append(signal)

    async def beat(self, stats: FeedStats) -> None:
        self.beats.append(stats)

    @property
    def ticks(self) -> list[Tick]:
        return [item for item in self.log if isinstance(item, Tick)]

    @property
    def signals(self) -> list[Signal]:
        return [item for item in self.log if isinstance(item, Signal)]


def strategies() -> tuple[Deployment, ...]:
    return deploy_all(["sma-cross"], {"sma-cross": {"fast": 1, "slow": 2, "bar_seconds": 60}})


def recording(folder: Path, *closes: int) -> ReplaySource:
    path = folder / "INFY.csv"
    rows = (f"2024-05-21 10:{minute:02d}:00,{c},{c},{c},{c},400\n" for minute, c in enumerate(closes))
    path.write_text(HEADER + "".join(rows))
    return ReplaySource([path], speed=0, now=time.time)


def endless() -> SimulatorSource:
    return SimulatorSource(["INFY", "SBIN"], seed=7, ticks_per_second=200, now=time.time)


def runner(
    source: TickSource,
    desk: Desk,
    *,
    publish: Callable[[Sequence[Tick]], Awaitable[None]] | None = None,
    outbox: SignalOutbox | None = None,
) -> FeedRunner:
    return FeedRunner(
        source, strategies(), publish or desk.publish, desk.emit, BROKERS, time.time,
        beat=desk.beat, beat_every_s=0.01, stop_grace_s=0.1, outbox=outbox,
    )  # fmt: skip


UP_AND_DOWN = (100, 90, 110, 90, 110, 90, 91)
"""Two crossings up and two down, each seen when its bar is over."""


async def test_a_source_that_ends_is_finished_with_every_tick_published_and_every_signal_delivered(
    tmp_path: Path,
) -> None:
    desk = Desk()
    stats = await runner(recording(tmp_path, *UP_AND_DOWN), desk).run()
    assert stats.state is FeedState.FINISHED
    assert len(desk.ticks) == stats.ticks == 28
    assert [signal.side for signal in desk.signals] == ["BUY", "SELL", "BUY", "SELL"]
    assert (stats.signals, stats.signals_delivered, stats.signals_pending, stats.signals_undelivered) == (4, 4, 0, 0)
    assert stats.last_exchange_time == desk.ticks[-1].exchange_time
    assert (stats.error, stats.strategy_errors, stats.suspended) == (None, {}, {})


async def test_the_same_recording_gives_the_same_signals_again(tmp_path: Path) -> None:
    desks = Desk(), Desk()
    for desk in desks:
        await runner(recording(tmp_path, *UP_AND_DOWN), desk).run()
    first, second = ([signal.signal_id for signal in desk.signals] for desk in desks)
    assert first == second


async def test_a_signal_comes_after_the_quote_it_was_made_on_and_before_the_next_batch(tmp_path: Path) -> None:
    desk = Desk()
    await runner(recording(tmp_path, *UP_AND_DOWN), desk).run()
    for index, item in enumerate(desk.log):
        if isinstance(item, Signal):
            published = [one for one in desk.log[:index] if isinstance(one, Tick)]
            caused_at = datetime.fromisoformat(item.metadata["caused_at"]).timestamp()
            assert 0 <= max(one.exchange_time for one in published) - caused_at < 60


async def test_without_redis_ticks_are_dropped_and_counted_and_signals_go_on(tmp_path: Path) -> None:
    async def unreachable(ticks: Sequence[Tick]) -> None:
        raise LiveUnavailable("nobody there")

    desk = Desk()
    stats = await runner(recording(tmp_path, *UP_AND_DOWN), desk, publish=unreachable).run()
    assert stats.state is FeedState.FINISHED
    assert (stats.ticks, stats.ticks_unpublished) == (28, 28)
    assert len(desk.signals) == 4


async def test_a_desk_that_is_away_for_a_moment_gets_its_signals_later(tmp_path: Path) -> None:
    desk = Desk()
    attempts = 0

    async def away_at_first(signal: Signal) -> None:
        nonlocal attempts
        attempts += 1
        if attempts <= 3:
            raise ConnectionError("no desk")
        await desk.emit(signal)

    outbox = SignalOutbox(away_at_first, first_pause_s=0.001)
    stats = await runner(recording(tmp_path, *UP_AND_DOWN), desk, outbox=outbox).run()
    assert [signal.side for signal in desk.signals] == ["BUY", "SELL", "BUY", "SELL"]
    assert (stats.signals_delivered, stats.signals_retried) == (4, 3)


async def test_a_source_that_breaks_fails_the_feed_and_the_reason_is_shown(tmp_path: Path) -> None:
    source = recording(tmp_path, 100, 90)
    with (tmp_path / "INFY.csv").open("a") as file:
        file.write("2024-05-21 10:02:00,1,2\n")
    desk = Desk()
    feed = runner(source, desk)
    with pytest.raises(ReplayFileError, match="line 4"):
        await feed.run()
    assert feed.state is FeedState.FAILED
    assert "line 4" in (feed.stats().error or "")
    assert len(desk.ticks) == 8
    assert desk.beats[-1].state is FeedState.FAILED


async def test_stop_ends_a_running_feed_and_leaves_no_task() -> None:
    before = asyncio.all_tasks()
    desk = Desk()
    feed = runner(endless(), desk)
    running = asyncio.create_task(feed.run())
    await desk.ticked.wait()
    assert feed.stats().state is FeedState.RUNNING
    await feed.stop()
    stats = await running
    assert stats.state is feed.state is FeedState.STOPPED
    assert asyncio.all_tasks() == before
    await feed.stop()  # repeating is harmless


async def test_stop_is_prompt_while_nobody_takes_the_signals(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def never(signal: Signal) -> None:
        asked.set()
        await asyncio.Event().wait()

    desk = Desk()
    feed = runner(recording(tmp_path, *UP_AND_DOWN), desk, outbox=SignalOutbox(never))
    running = asyncio.create_task(feed.run())
    await asked.wait()
    async with asyncio.timeout(20):  # the outbox alone would go on for a minute
        await feed.stop()
    stats = await running
    assert stats.state is FeedState.STOPPED
    assert (stats.signals, stats.signals_undelivered, stats.signals_pending) == (1, 1, 0)


async def test_a_cancelled_caller_stops_the_feed_too() -> None:
    before = asyncio.all_tasks()
    desk = Desk()
    feed = runner(endless(), desk)
    running = asyncio.create_task(feed.run())
    await desk.ticked.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert feed.state is FeedState.STOPPED
    assert asyncio.all_tasks() == before


async def test_a_feed_runs_once() -> None:
    desk = Desk()
    feed = runner(endless(), desk)
    assert feed.stats().state is FeedState.NEW
    await feed.stop()
    assert feed.state is FeedState.STOPPED
    with pytest.raises(FeedStateError, match="run: the feed is STOPPED, not NEW"):
        await feed.run()


async def test_a_running_feed_cannot_be_run_again() -> None:
    desk = Desk()
    feed = runner(endless(), desk)
    running = asyncio.create_task(feed.run())
    await desk.ticked.wait()
    with pytest.raises(FeedStateError, match="the feed is RUNNING"):
        await feed.run()
    await feed.stop()
    await running


async def test_heartbeats_tell_the_stats_as_they_grow_and_the_end() -> None:
    desk = Desk()
    feed = runner(endless(), desk)
    running = asyncio.create_task(feed.run())
    async with asyncio.timeout(20):
        while not (desk.beats and desk.beats[-1].ticks):
            await asyncio.sleep(0.001)
    await feed.stop()
    await running
    assert desk.beats[0].state is FeedState.RUNNING
    assert desk.beats[-1].state is FeedState.STOPPED
    assert desk.beats[-1] == feed.stats()


async def test_a_heartbeat_that_fails_does_not_end_the_feed(tmp_path: Path) -> None:
    async def unreachable(stats: FeedStats) -> None:
        raise LiveUnavailable("nobody there")

    desk = Desk()
    feed = FeedRunner(
        recording(tmp_path, 100, 90), strategies(), desk.publish, desk.emit, BROKERS, time.time, beat=unreachable
    )
    assert (await feed.run()).state is FeedState.FINISHED
