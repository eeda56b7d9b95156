"""The broker's process of the benchmark: the paper queue as in production, the floor's queue beside it.

Both note when the call reached them, so that the two ways are timed with one clock at one place.
"""

import asyncio
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from temporalio import activity
from temporalio.worker import Worker

from activities.broker_calls import BrokerActivities
from alphapanda.brokers.paper.adapter import PaperBroker
from alphapanda.domain.execution import OrderReport, OrderRequest, Placement
from alphapanda.domain.ids import Broker, broker_task_queue
from alphapanda.endpoints import resolve_endpoints
from alphapanda.ledger.engine import create_ledger_engine
from alphapanda.ledger.instruments import InstrumentCache
from alphapanda.loop import run as run_loop
from alphapanda.settings import Settings
from alphapanda.stack.process import die_with_parent
from workers.bench.floor import FLOOR_ACTIVITY_QUEUE
from workers.bench.orders import log_to_nowhere
from workflows.runtime import connect

PAPER = Broker("paper")


class TimedPaperBroker(PaperBroker):
    """The paper broker, noting when each placement arrives."""

    arrivals: dict[str, float]

    async def place(self, request: OrderRequest) -> Placement:
        self.arrivals[request.order_id] = time.time()
        return await super().place(request)


async def _ignore(report: OrderReport) -> None: ...


async def serve(notes: Path) -> None:
    """Until SIGTERM; then write the arrivals, epoch seconds by order id, to `notes`."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    settings = Settings.load()
    log_to_nowhere(settings)
    endpoints = resolve_endpoints(settings)
    engine = create_ledger_engine(endpoints.database_url)
    redis = Redis.from_url(endpoints.redis_url)
    client = await connect(settings, endpoints)
    broker = TimedPaperBroker(PAPER, engine, redis, settings.paper, InstrumentCache(engine), None, _ignore)
    broker.arrivals = {}
    floor_arrivals: dict[str, float] = {}

    @activity.defn(name="floor_call")
    async def floor_call(order_id: str) -> str:
        floor_arrivals[order_id] = time.time()
        return order_id

    calls = BrokerActivities(broker=broker, engine=engine)
    matching = asyncio.create_task(broker.run())
    activities: list[Any] = [calls.submit_order, calls.look_up_order, calls.cancel_order, calls.modify_order]
    async with (
        Worker(client, task_queue=broker_task_queue(PAPER), activities=activities, max_concurrent_activities=50),
        Worker(client, task_queue=FLOOR_ACTIVITY_QUEUE, activities=[floor_call], max_concurrent_activities=50),
    ):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await stop.wait()
    matching.cancel()
    await asyncio.gather(matching, return_exceptions=True)
    notes.write_text(json.dumps({"ours": broker.arrivals, "floor": floor_arrivals}))
    await redis.aclose()
    await engine.dispose()


if __name__ == "__main__":
    die_with_parent()
    run_loop(serve(Path(sys.argv[1])))
