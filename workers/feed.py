"""The feed process: one source, the strategies on it, and the signals they make.

It runs an orders worker on the same client, so that a signal's first workflow task starts in this process at once.
"""

import asyncio
import sys
import time
from datetime import UTC, datetime
from functools import partial
from uuid import uuid4

import structlog

from alphapanda.domain.calendar import trading_date
from alphapanda.domain.signal import Signal
from alphapanda.feed.factory import build_source, build_strategies, tolerance
from alphapanda.feed.fills import FillNews, keep_told
from alphapanda.feed.instruments import known_instruments
from alphapanda.feed.reloading import DeploymentWatch, keep_reloaded
from alphapanda.feed.runner import FeedRunner
from alphapanda.feed.stats import write_stats
from alphapanda.ledger.brokers import register_brokers
from alphapanda.ledger.instruments import save_instruments
from alphapanda.live import quotes
from workers.process import Resources, run_role
from workflows.runtime import orders_worker

log = structlog.get_logger(__name__)


async def work(resources: Resources) -> None:
    settings = resources.settings
    settings.refuse_invented_prices()
    await register_brokers(resources.engine, settings.active_brokers, now=datetime.now(UTC))
    source = build_source(settings.feed, await known_instruments(resources.engine, settings.feed), now=time.time)
    if source is None:
        log.info("no feed is configured")
        return
    async with resources.engine.begin() as connection:
        await save_instruments(
            connection,
            source.instruments.values(),
            source=source.name,
            as_of=trading_date(datetime.now(UTC)),
            replace=False,
        )

    async def emit(signal: Signal) -> None:
        await resources.desk.accept(signal, correlation_id=uuid4().hex)

    load = partial(build_strategies, settings.feed, active=settings.active_brokers)
    strategies = load()
    runner = FeedRunner(
        source,
        strategies,
        partial(quotes.publish, resources.redis),
        emit,
        settings.active_brokers,
        time.time,
        beat=lambda stats: write_stats(resources.redis, stats, at=time.time()),
        tolerance=tolerance(settings.feed),
    )
    async with orders_worker(resources.client, resources.engine, resources.redis, settings):
        news = FillNews(resources.engine, datetime.now(UTC))
        beside = [
            asyncio.create_task(_stop(runner, resources.stop)),
            asyncio.create_task(keep_told(news, runner)),
        ]
        if settings.feed.deployments is not None:
            watch = DeploymentWatch(settings.feed.deployments, load, strategies)
            beside.append(asyncio.create_task(keep_reloaded(watch, runner)))
        try:
            stats = await runner.run()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
    log.info("the feed ended", state=str(stats.state), ticks=stats.ticks, signals=stats.signals)


async def _stop(runner: FeedRunner, stop: asyncio.Event) -> None:
    await stop.wait()
    await runner.stop()


if __name__ == "__main__":
    sys.exit(run_role("feed", work))
