"""Sources and strategies as the settings name them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, assert_never

from alphapanda.domain.ids import Broker
from alphapanda.domain.instrument import Instrument
from alphapanda.feed.replay import ReplaySource
from alphapanda.feed.replay_files import BAR_S
from alphapanda.feed.router import Tolerance
from alphapanda.feed.simulator import SimulatorSource
from alphapanda.feed.source import Clock, TickSource, no_live_ticker
from alphapanda.settings import FeedSettings, FeedSource
from alphapanda.strategies.deployment import Deployment
from alphapanda.strategies.deployment_file import load_deployments
from alphapanda.strategies.registry import deploy_all


def build_source(feed: FeedSettings, known: Iterable[Instrument], *, now: Clock) -> TickSource | None:
    """The configured source, None for `none`. `known`: see `alphapanda.feed.instruments.known_instruments`.

    Raises FeedSourceError or ReplayFileError.
    """
    match feed.source:
        case FeedSource.SIMULATOR:
            return SimulatorSource(
                feed.symbols, seed=feed.seed, ticks_per_second=feed.ticks_per_second, now=now, known=known
            )
        case FeedSource.REPLAY:
            return ReplaySource(feed.files, speed=feed.speed, now=now, known=known)
        case FeedSource.ZERODHA:
            raise no_live_ticker()
        case FeedSource.NONE:
            return None
        case _:
            assert_never(feed.source)


def build_strategies(
    feed: FeedSettings, params: Mapping[str, Mapping[str, Any]] | None = None, *, active: Sequence[Broker] = ()
) -> tuple[Deployment, ...]:
    """The configured strategies: those of the deployment file, or those named, with `params` by strategy name.

    `active`: the brokers a deployment file may name. Over a replay bars default to a minute: a recorded minute
    expanded to four ticks holds nothing finer. Raises StrategyError.
    """
    defaults = {"bar_seconds": BAR_S} if feed.source is FeedSource.REPLAY else {}
    if feed.deployments is not None:
        return load_deployments(feed.deployments, active, defaults=defaults)
    return deploy_all(feed.strategies, params, defaults=defaults)


def tolerance(feed: FeedSettings) -> Tolerance:
    """How much failing the settings allow a strategy."""
    return Tolerance(errors_in_a_row=feed.error_limit, slow_s=feed.slow_ms / 1000, slow_in_a_row=feed.slow_limit)
