"""Deployments that change under a running feed: taken up whole when sound, refused and shown when not."""

import asyncio
import os
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from alphapanda.domain.ids import Broker
from alphapanda.domain.signal import Signal
from alphapanda.feed.reloading import DeploymentWatch, keep_reloaded
from alphapanda.feed.runner import FeedRunner
from alphapanda.feed.simulator import SimulatorSource
from alphapanda.live.quotes import Tick
from alphapanda.strategies.deployment_file import DeploymentFileError, load_deployments

ACTIVE = (Broker("paper"),)
ONE = "strategies: [{id: one, strategy: sma-cross}]"
TWO = "strategies: [{id: one, strategy: sma-cross}, {id: two, strategy: pairs}]"
OWN = """
from alphapanda.strategies.contract import Intent, Strategy, StrategyParams
from alphapanda.domain.vocabulary import Side

class Own(Strategy[StrategyParams]):
    name, version, Params = "own", "1", StrategyParams

    def on_tick(self, tick):
        return [Intent(side=Side.BUY, quantity=1, reason="a tick")]
"""

_moments = iter(range(1, 1000))


def save(path: Path, text: str) -> None:
    """Write it with a time of its own: two writes within the clock's grain must differ, as a person's do."""
    path.write_text(text)
    stamp = 1_760_000_000 + next(_moments)
    os.utime(path, (stamp, stamp))


def watched(path: Path, text: str) -> DeploymentWatch:
    save(path, text)
    load = partial(load_deployments, path, ACTIVE)
    return DeploymentWatch(path, load, load())


def looked(watch: DeploymentWatch) -> list[str] | None:
    found = watch.look()
    return None if found is None else [f"{item.strategy_id} {item.strategy.version}" for item in found]


def test_nothing_changed_is_nothing_to_do(tmp_path: Path) -> None:
    path = tmp_path / "desk.yaml"
    watch = watched(path, ONE)
    assert looked(watch) is None
    save(path, f"# a remark\n{ONE}")
    assert looked(watch) is None


def test_a_changed_file_is_given_once(tmp_path: Path) -> None:
    path = tmp_path / "desk.yaml"
    watch = watched(path, ONE)
    save(path, TWO)
    assert looked(watch) == ["one 1", "two 1"]
    assert looked(watch) is None


def test_an_unsound_file_is_refused_until_it_is_sound_again(tmp_path: Path) -> None:
    path = tmp_path / "desk.yaml"
    watch = watched(path, ONE)
    save(path, "strategies: [{strategy: nope}]")
    for _ in range(2):
        with pytest.raises(DeploymentFileError, match="'nope' does not exist"):
            watch.look()
    path.unlink()
    with pytest.raises(DeploymentFileError, match="cannot be read"):
        watch.look()
    save(path, ONE)
    assert looked(watch) == ["one 1"]  # told although it runs already: the refusal is over


def test_a_strategys_own_file_is_watched_too(tmp_path: Path) -> None:
    path, own = tmp_path / "desk.yaml", tmp_path / "own.py"
    save(own, OWN)
    watch = watched(path, "strategies: [{strategy: 'own.py:Own'}]")
    assert looked(watch) is None
    save(own, OWN.replace('"1"', '"2"'))
    assert looked(watch) == ["own 2"]
    save(own, OWN.replace("import Intent", "import Intentions"))
    with pytest.raises(DeploymentFileError, match="cannot be run: ImportError"):
        watch.look()
    save(own, OWN.replace('"1"', '"3"'))
    assert looked(watch) == ["own 3"]


class Desk:
    def __init__(self) -> None:
        self.signals: list[Signal] = []

    async def publish(self, ticks: Sequence[Tick]) -> None:
        pass

    async def emit(self, signal: Signal) -> None:
        self.signals.append(signal)


async def test_a_running_feed_takes_up_the_change_and_shows_a_refusal(tmp_path: Path) -> None:
    path = tmp_path / "desk.yaml"
    save(tmp_path / "own.py", OWN)
    watch = watched(path, "strategies: []")
    desk = Desk()
    source = SimulatorSource(["INFY"], seed=7, ticks_per_second=200, now=time.time)
    feed = FeedRunner(source, (), desk.publish, desk.emit, ACTIVE, time.time)
    running = asyncio.create_task(feed.run())
    reloading = asyncio.create_task(keep_reloaded(watch, feed, every_s=0.01))
    try:
        async with asyncio.timeout(30):
            save(path, "strategies: [{strategy: 'own.py:Own'}]")
            while not desk.signals:
                await asyncio.sleep(0.01)
            save(path, "strategies: [{strategy: gone}]")
            while feed.stats().reload_refused is None:
                await asyncio.sleep(0.01)
            assert "'gone' does not exist" in (feed.stats().reload_refused or "")
            so_far = len(desk.signals)
            while len(desk.signals) == so_far:  # what ran goes on
                await asyncio.sleep(0.01)
            save(path, "strategies: []")
            while feed.stats().reload_refused is not None:
                await asyncio.sleep(0.01)
    finally:
        reloading.cancel()
        await asyncio.gather(reloading, return_exceptions=True)
        await feed.stop()
    await running
    assert desk.signals[0].strategy_id == "own"
