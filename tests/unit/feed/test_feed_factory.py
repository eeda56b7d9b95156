"""Sources and strategies as the settings name them."""

import time
from pathlib import Path

import pytest

from alphapanda.feed.factory import build_source, build_strategies
from alphapanda.feed.replay import ReplaySource
from alphapanda.feed.replay_files import ReplayFileError
from alphapanda.feed.simulator import SimulatorSource
from alphapanda.feed.source import FeedSourceError
from alphapanda.settings import FeedSettings, FeedSource
from alphapanda.strategies.registry import StrategyUnknown


def seconds(feed: FeedSettings, **params: dict[str, int]) -> list[int]:
    named = {name.replace("_", "-"): given for name, given in params.items()}
    return [deployment.params.model_dump()["bar_seconds"] for deployment in build_strategies(feed, named)]


def test_the_default_is_the_simulator_with_the_configured_symbols() -> None:
    source = build_source(FeedSettings(), (), now=time.time)
    assert isinstance(source, SimulatorSource)
    assert set(source.instruments) == {f"NSE:{symbol}" for symbol in FeedSettings().symbols}


def test_a_replay_reads_the_configured_files(tmp_path: Path) -> None:
    path = tmp_path / "INFY.csv"
    path.write_text("timestamp,open,high,low,close,volume\n2024-05-21 09:15:00,1,1,1,1,1\n")
    source = build_source(FeedSettings(source=FeedSource.REPLAY, files=(path,)), (), now=time.time)
    assert isinstance(source, ReplaySource)
    assert set(source.instruments) == {"NSE:INFY"}


def test_a_replay_without_files_is_refused() -> None:
    with pytest.raises(ReplayFileError, match="no files to replay"):
        build_source(FeedSettings(source=FeedSource.REPLAY), (), now=time.time)


def test_a_live_feed_is_refused_clearly_and_none_is_none() -> None:
    with pytest.raises(FeedSourceError, match="zerodha"):
        build_source(FeedSettings(source=FeedSource.ZERODHA), (), now=time.time)
    assert build_source(FeedSettings(source=FeedSource.NONE), (), now=time.time) is None


def test_strategies_use_their_default_bars_and_minutes_over_a_replay() -> None:
    assert seconds(FeedSettings()) == [3, 3]
    replay = FeedSettings(source=FeedSource.REPLAY)
    assert seconds(replay) == [60, 60]
    assert seconds(replay, sma_cross={"bar_seconds": 300}) == [300, 60]


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(StrategyUnknown, match="'nope' does not exist"):
        build_strategies(FeedSettings(strategies=("nope",)))
