"""Sources and strategies as the settings name them."""

from collections.abc import Iterable, Mapping
from typing import Any, assert_never

from alphapanda.domain.instrument import Instrument
from alphapanda.feed.replay import ReplaySource
from alphapanda.feed.replay_files import BAR_S
from alphapanda.feed.simulator import SimulatorSource
from alphapanda.feed.source import Clock, TickSource, no_live_ticker
from alphapanda.settings import FeedSettings, FeedSource
from alphapanda.strategies.registry import Deployment, deploy_all


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
    feed: FeedSettings, params: Mapping[str, Mapping[str, Any]] | None = None
) -> tuple[Deployment, ...]:
    """The configured strategies; `params` by strategy name over their defaults. Raises StrategyError.

    Over a replay their bars default to a minute: a recorded minute expanded to four ticks holds nothing finer.
    """
    given = params or {}
    if feed.source is FeedSource.REPLAY:
        given = {name: {"bar_seconds": BAR_S, **given.get(name, {})} for name in (*feed.strategies, *given)}
    return deploy_all(feed.strategies, given)
