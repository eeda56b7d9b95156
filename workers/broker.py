"""A broker's process: its activity queue, its adapter, and the watch over its book and session.

One process serves one broker and holds that broker's credentials only.
"""

import asyncio
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated

import structlog
import typer
from temporalio.worker import Worker

from activities.broker_calls import BrokerActivities
from alphapanda.brokers.factory import build_broker
from alphapanda.domain.errors import AlphaPandaError
from alphapanda.domain.ids import Broker, broker_name, broker_task_queue
from alphapanda.ledger.brokers import register_brokers
from alphapanda.live import heartbeats, keys
from alphapanda.settings import SettingsError
from workers.book_watch import BookWatch
from workers.instruments import DailyDump
from workers.preflight import Preflight
from workers.process import Resources, every, run_role
from workers.reconciling import Reconciler
from workflows.runtime import deployment, identity, market_calendar

log = structlog.get_logger(__name__)

SESSION_INTERVAL_S = 5.0
HEARTBEAT_INTERVAL_S = 5.0
MAX_CONCURRENT_CALLS = 200
"""Far more than an adapter has on the wire: look-ups that hang must leave room for a cancel to begin."""


async def work(name: Broker, resources: Resources) -> None:
    settings, engine, stop = resources.settings, resources.engine, resources.stop
    if name not in settings.active_brokers:
        raise SettingsError(f"--broker: {name} is not among ALPHAPANDA_ACTIVE_BROKERS")
    await register_brokers(engine, (name,), now=datetime.now(UTC))
    calendar = market_calendar(settings)
    watch = BookWatch(name, engine, resources.desk)
    reconciler = Reconciler(name, engine, resources.redis, resources.desk, watch, calendar=calendar)
    preflight = Preflight(name, engine, calendar=calendar)

    async def on_session_lost(detail: str) -> None:
        """The socket says so, and a call decides: a socket is refused for other reasons, too."""
        log.warning("order updates found the session dead", broker=name, detail=detail)
        with suppress(AlphaPandaError):  # it is asked again in seconds
            await watch.follow_session(broker)

    broker = build_broker(
        name,
        settings,
        engine,
        resources.redis,
        calendar=calendar,
        on_update=watch.on_update,
        on_reconnect=reconciler.soon,
        on_session_lost=on_session_lost,
    )
    calls = BrokerActivities(broker=broker, engine=engine)
    worker = Worker(
        resources.client,
        task_queue=broker_task_queue(name),
        activities=[calls.submit_order, calls.look_up_order, calls.cancel_order, calls.modify_order],
        identity=identity(f"broker-{name}"),
        deployment_config=deployment(f"broker-{name}"),
        max_concurrent_activities=MAX_CONCURRENT_CALLS,
        # Longer than the longest broker call: what is on the wire is finished, not cut off.
        graceful_shutdown_timeout=timedelta(seconds=settings.orders.submit_timeout_s + 5),
        max_heartbeat_throttle_interval=timedelta(seconds=2),
        default_heartbeat_throttle_interval=timedelta(seconds=2),
    )

    async def live() -> None:
        at = datetime.now(UTC).timestamp()
        await heartbeats.write(resources.redis, keys.BROKER, state="RUNNING", at=at, detail={}, broker=name)

    running = asyncio.create_task(broker.run())
    try:
        async with worker, asyncio.TaskGroup() as tasks:
            tasks.create_task(reconciler.keep(broker, stop))
            tasks.create_task(preflight.keep(broker, stop))
            tasks.create_task(DailyDump(name, settings, engine, resources.redis, calendar=calendar).keep(stop))
            tasks.create_task(every(SESSION_INTERVAL_S, stop, partial(watch.follow_session, broker), "session"))
            tasks.create_task(every(HEARTBEAT_INTERVAL_S, stop, live, "heartbeat"))
            tasks.create_task(_end_with(running, stop))
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await broker.close()


async def _end_with(running: "asyncio.Task[None]", stop: asyncio.Event) -> None:
    """The adapter's own task lives as long as the process; if it fails, the process ends and is started again."""
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if running.done() and not stop.is_set():
        running.result()


def main(broker: Annotated[str, typer.Option(help="The broker this process serves.")]) -> None:
    """Serve one broker's queue."""
    sys.exit(run_role(f"broker-{broker}", partial(work, broker_name(broker))))


if __name__ == "__main__":
    typer.run(main)
