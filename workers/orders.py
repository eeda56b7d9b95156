"""The orders process: workflows and ledger steps, and the sweep that starts what a crash left unstarted."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta

import structlog

from alphapanda.ledger.brokers import register_brokers
from alphapanda.live import heartbeats, keys
from workers.process import Resources, every, run_role
from workflows.runtime import orders_worker

log = structlog.get_logger(__name__)

SWEEP_INTERVAL_S = 5.0
UNSTARTED_AFTER = timedelta(seconds=5)
BROKERS_INTERVAL_S = 30.0
HEARTBEAT_INTERVAL_S = 5.0


async def work(resources: Resources) -> None:
    settings, desk = resources.settings, resources.desk
    await register_brokers(resources.engine, settings.active_brokers, now=datetime.now(UTC))

    async def sweep() -> None:
        started = await desk.start_unstarted(settings.active_brokers, older_than=UNSTARTED_AFTER)
        if started:
            log.warning("started orders that a crash had left unstarted", count=started)

    async def keep_brokers() -> None:
        for broker in settings.active_brokers:
            await desk.ensure_broker(broker)

    async def live() -> None:
        for broker in settings.active_brokers:
            at = datetime.now(UTC).timestamp()
            await heartbeats.write(resources.redis, keys.ORDERS, state="RUNNING", at=at, detail={}, broker=broker)

    worker = orders_worker(resources.client, resources.engine, resources.redis, settings)
    async with worker, asyncio.TaskGroup() as tasks:
        tasks.create_task(every(BROKERS_INTERVAL_S, resources.stop, keep_brokers, "keep broker workflows"))
        tasks.create_task(every(SWEEP_INTERVAL_S, resources.stop, sweep, "start unstarted orders"))
        tasks.create_task(every(HEARTBEAT_INTERVAL_S, resources.stop, live, "heartbeat"))


if __name__ == "__main__":
    sys.exit(run_role("orders", work))
