"""Sources and strategies as the settings name them."""

import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from alphapanda.domain.ids import Broker
from alphapanda.feed.factory import build_source, build_strategies, tolerance
from alphapanda.feed.replay import ReplaySource
from alphapanda.feed.replay_files import ReplayFileError
from alphapanda.feed.router import Tolerance
from alphapanda.feed.simulator import SimulatorSource
from alphapanda.feed.source import FeedSourceError
from alphapanda.settings import FeedSettings, FeedSource
from alphapanda.strategies.deployment_file import DeploymentFileError
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


def test_a_deployment_file_takes_the_place_of_the_names(tmp_path: Path) -> None:
    path = tmp_path / "desk.yaml"
    path.write_text("strategies: [{id: mine, strategy: sma-cross, brokers: [paper]}]")
    feed = FeedSettings(source=FeedSource.REPLAY, deployments=path)
    (mine,) = build_strategies(feed, active=(Broker("paper"),))
    assert (mine.strategy_id, mine.brokers) == ("mine", ("paper",))
    assert mine.params.model_dump()["bar_seconds"] == 60
    with pytest.raises(DeploymentFileError, match="paper is none of the active ones"):
        build_strategies(feed, active=(Broker("zerodha"),))


def test_names_and_a_deployment_file_together_are_refused() -> None:
    with pytest.raises(ValidationError, match="give either it or STRATEGIES"):
        FeedSettings(strategies=("sma-cross",), deployments=Path("desk.yaml"))


def test_the_settings_say_how_much_failing_is_allowed() -> None:
    assert tolerance(FeedSettings(error_limit=3, slow_ms=20, slow_limit=5)) == Tolerance(3, 0.02, 5)
