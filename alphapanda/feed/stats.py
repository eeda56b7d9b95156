"""What a feed has done so far, as one typed snapshot for heartbeats, the API and the log."""

from enum import StrEnum

import msgspec
from redis.asyncio import Redis

from alphapanda.live import heartbeats, keys


class FeedState(StrEnum):
    NEW = "NEW"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"  # the source ended
    FAILED = "FAILED"  # the source broke; `error` tells how
    STOPPED = "STOPPED"  # somebody asked

    @property
    def is_over(self) -> bool:
        return self in (FeedState.FINISHED, FeedState.FAILED, FeedState.STOPPED)


class FeedStats(msgspec.Struct, frozen=True, kw_only=True):
    """Counts since the start; times in epoch seconds, None until there is one.

    `ticks` came from the source, `ticks_skipped` it left out for being late, `ticks_unpublished` never reached Redis,
    `ticks_late` came too late for their bar. Of the signals, `pending` are on their way (in retry included) and
    `undelivered` were given up. By strategy: `strategy_errors` and `strategy_slow` count the calls that raised or took
    too long, `strategy_problems` tells the last such, `suspended` lists the instruments it is no longer asked about.
    `reload_refused` tells why changed deployments are not in force; None: they are.
    """

    state: FeedState
    source: str
    started_at: float | None
    last_tick_at: float | None
    last_exchange_time: float | None
    ticks: int
    ticks_skipped: int
    ticks_unpublished: int
    ticks_late: int
    signals: int
    signals_delivered: int
    signals_pending: int
    signals_retried: int
    signals_undelivered: int
    strategy_errors: dict[str, int]
    suspended: dict[str, list[str]]
    error: str | None
    strategy_slow: dict[str, int] = msgspec.field(default_factory=dict)
    strategy_problems: dict[str, str] = msgspec.field(default_factory=dict)
    reload_refused: str | None = None


async def write_stats(redis: "Redis", stats: FeedStats, *, at: float) -> None:
    """Write the feed's heartbeat; `at` is the writer's clock in epoch seconds. Raises LiveUnavailable."""
    await heartbeats.write(redis, keys.FEED, state=stats.state, at=at, detail=msgspec.to_builtins(stats))


async def read_stats(redis: "Redis") -> tuple[float, FeedStats] | None:
    """When the feed last gave a sign of life, and its stats; None when that is unknown. Raises LiveUnavailable."""
    beat = await heartbeats.read(redis, keys.FEED)
    return None if beat is None else (beat.at, msgspec.convert(beat.detail, FeedStats))
