"""`alphapanda bench orders`: the OrderWorkflow for paper MARKET orders against the floor, on the same servers.

Both sides are one process that starts workflows and runs their workers, and one that serves the activity queue.
They take turns in short rounds, so that whatever else the machine does falls on both.
"""

import asyncio
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
from redis.asyncio import Redis
from sqlalchemy import text
from temporalio.client import Client, WorkflowHistory
from temporalio.worker import Worker

from alphapanda.domain.ids import Broker, OrderId, SignalId, StrategyId, order_id, order_workflow_id
from alphapanda.domain.instrument import Instrument, InstrumentType
from alphapanda.domain.signal import Signal
from alphapanda.domain.vocabulary import Exchange, OrderType, Product, Side
from alphapanda.endpoints import resolve_endpoints
from alphapanda.ledger.brokers import register_brokers
from alphapanda.ledger.engine import LedgerEngine, create_ledger_engine
from alphapanda.ledger.instruments import save_instruments
from alphapanda.ledger.migrate import upgrade
from alphapanda.live.quotes import Tick, publish
from alphapanda.logging import configure_logging
from alphapanda.settings import PARENT_PID_VARIABLE, Settings
from alphapanda.stack import EmbeddedStack
from workers.bench.floor import FLOOR_QUEUE, FloorWorkflow
from workflows.desk import OrderDesk, order_policy
from workflows.runtime import connect, orders_worker

PAPER = Broker("paper")
INFY = Instrument(Exchange.NSE, "INFY", 408065, InstrumentType.EQUITY, "NSE_EQ", Decimal("0.05"), 1)
HISTORY_SAMPLE = 20


@dataclass(frozen=True)
class Plan:
    """`latency` orders one after the other and `throughput` orders at `concurrency`, per round and side."""

    rounds: int = 10
    latency: int = 20
    throughput: int = 100
    concurrency: int = 50
    warm_up: int = 50


@dataclass
class Measured:
    """What was measured of one side: when each order was accepted (the floor's: started), the seconds it took to record
    it before that, and the rate of each round."""

    began: dict[str, float] = field(default_factory=dict)
    recording: list[float] = field(default_factory=list)
    per_second: list[float] = field(default_factory=list)


def log_to_nowhere(settings: Settings) -> None:
    """Lines are made as in production, where they cost what they cost, but nobody reads them here."""
    configure_logging(settings, role="bench", stream=Path(os.devnull).open("w"))  # noqa: SIM115 - as long as the process


Lifecycle = Callable[[], Awaitable[None]]


async def run(plan: Plan, progress: Callable[[str], None]) -> dict[str, Any]:
    """Measure on servers of our own, in a temporary folder; returns the figures as one JSON-ready object."""
    with tempfile.TemporaryDirectory(prefix="alphapanda-bench-") as folder:
        async with EmbeddedStack(Path(folder), ui_port=None, durable=False):
            settings = Settings.load(data_dir=Path(folder), active_brokers=("paper",), _env_file=None)
            log_to_nowhere(settings)
            progress("servers are up")
            await upgrade(resolve_endpoints(settings).database_url)
            return await _measure(settings, plan, Path(folder), progress)


async def _measure(settings: Settings, plan: Plan, folder: Path, progress: Callable[[str], None]) -> dict[str, Any]:
    endpoints = resolve_endpoints(settings)
    engine = create_ledger_engine(endpoints.database_url)
    redis = Redis.from_url(endpoints.redis_url)
    client = await connect(settings, endpoints)
    await register_brokers(engine, [PAPER], now=datetime.now(UTC))
    async with engine.begin() as connection:
        await save_instruments(connection, [INFY], source="bench", as_of=datetime.now(UTC).date())
    desk = OrderDesk(client, engine, order_policy(settings))
    ours, floor = Measured(), Measured()
    sides: dict[str, tuple[Measured, Lifecycle]] = {
        "floor": (floor, lambda: _floor_lifecycle(client, floor)),
        "ours": (ours, lambda: _our_lifecycle(client, desk, ours)),
    }
    latency_ids: dict[str, list[str]] = {"floor": [], "ours": []}
    notes = folder / "notes.json"
    async with contextlib.AsyncExitStack() as running:
        running.push_async_callback(engine.dispose)
        running.push_async_callback(redis.aclose)
        await running.enter_async_context(_quotes(redis))
        await running.enter_async_context(_broker_side(folder, notes))
        await running.enter_async_context(orders_worker(client, engine, redis, settings))
        await running.enter_async_context(
            Worker(client, task_queue=FLOOR_QUEUE, workflows=[FloorWorkflow], max_cached_workflows=5000)
        )
        for _, lifecycle in sides.values():
            await _at_once(lifecycle, plan.warm_up, plan.concurrency)
        before = await _counters(engine, redis, len(ours.began))
        for number in range(plan.rounds):
            for name, (side, lifecycle) in sides.items():
                known = set(side.began)
                for _ in range(plan.latency):
                    await lifecycle()
                latency_ids[name] += [key for key in side.began if key not in known]
                elapsed = await _at_once(lifecycle, plan.throughput, plan.concurrency)
                side.per_second.append(plan.throughput / elapsed)
            progress(f"round {number + 1} of {plan.rounds}")
        after = await _counters(engine, redis, len(ours.began))
        histories = await _histories(client, list(ours.began)[-HISTORY_SAMPLE:])
        filled = await _count(engine, "SELECT count(*) FROM orders WHERE state = 'FILLED'")
    arrivals = orjson.loads(notes.read_bytes())
    if filled != len(ours.began):
        raise RuntimeError(f"{len(ours.began)} orders were sent but {filled} filled: the figures would mean nothing")
    return _report(plan, sides, latency_ids, arrivals, before, after, histories)


async def _our_lifecycle(client: Client, desk: OrderDesk, side: Measured) -> None:
    number = len(side.began)
    signal_id = SignalId(uuid4().hex)
    signal = Signal(
        signal_id=signal_id,
        strategy_id=StrategyId("bench"),
        brokers=(PAPER,),
        exchange=Exchange.NSE,
        tradingsymbol="INFY",
        side=Side.BUY if number % 2 == 0 else Side.SELL,
        quantity=1,
        order_type=OrderType.MARKET,
        product=Product.MIS,
        generated_at=datetime.now(UTC),
    )
    called = time.time()
    recorded = await desk.record(signal, correlation_id=signal_id)
    side.began[order_id(PAPER, signal_id)] = time.time()
    side.recording.append(time.time() - called)
    await desk.start(signal, recorded)
    await client.get_workflow_handle(order_workflow_id(PAPER, signal_id)).result()


async def _floor_lifecycle(client: Client, side: Measured) -> None:
    name = uuid4().hex
    side.began[name] = time.time()
    handle = await client.start_workflow(FloorWorkflow.run, name, id=f"floor:{name}", task_queue=FLOOR_QUEUE)
    await handle.result()


async def _at_once(lifecycle: Lifecycle, count: int, concurrency: int) -> float:
    """Run `count` lifecycles with `concurrency` under way; the seconds it took."""
    left = iter(range(count))

    async def one_after_the_other() -> None:
        for _ in left:
            await lifecycle()

    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(concurrency):
            tasks.create_task(one_after_the_other())
    return time.perf_counter() - began


@dataclass(frozen=True)
class _Counters:
    orders: int
    commits: int
    redis_calls: int


async def _counters(engine: LedgerEngine, redis: "Redis", orders: int) -> _Counters:
    # Every transaction that wrote took a number, whichever process it came from; reading the number takes one too.
    written = await _count(engine, "SELECT CAST(CAST(pg_current_xact_id() AS text) AS bigint)")
    stats = await redis.info("commandstats")
    reads = sum(stats.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("get", "mget"))
    return _Counters(orders, written, reads)


async def _count(engine: LedgerEngine, query: str) -> int:
    async with engine.connect() as connection:
        return int((await connection.execute(text(query))).scalar_one())


@contextlib.asynccontextmanager
async def _quotes(redis: "Redis") -> AsyncIterator[None]:
    """A fresh quote every half second with more volume than the benchmark can take."""

    async def quote() -> None:
        while True:
            now = time.time()
            await publish(redis, [Tick("NSE:INFY", 1500.0, now, now, 1_000_000, 1499.95, 1500.05)])
            await asyncio.sleep(0.5)

    quoting = asyncio.create_task(quote())
    await asyncio.sleep(0)
    try:
        yield
    finally:
        quoting.cancel()
        await asyncio.gather(quoting, return_exceptions=True)


@contextlib.asynccontextmanager
async def _broker_side(folder: Path, notes: Path) -> AsyncIterator[None]:
    environment = {
        **os.environ,
        "ALPHAPANDA_DATA_DIR": str(folder),
        "ALPHAPANDA_ACTIVE_BROKERS": "paper",
        PARENT_PID_VARIABLE: str(os.getpid()),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "workers.bench.broker_side", str(notes), env=environment, stdout=subprocess.PIPE
    )
    try:
        if process.stdout is None or await process.stdout.readline() != b"ready\n":
            raise RuntimeError("the benchmark's broker process did not start")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


async def _histories(client: Client, orders: list[str]) -> list[WorkflowHistory]:
    return [
        await client.get_workflow_handle(
            order_workflow_id(PAPER, SignalId(OrderId(order).partition(":")[2]))
        ).fetch_history()
        for order in orders
    ]


def _report(
    plan: Plan,
    sides: dict[str, tuple[Measured, Lifecycle]],
    latency_ids: dict[str, list[str]],
    arrivals: dict[str, Any],
    before: _Counters,
    after: _Counters,
    histories: list[WorkflowHistory],
) -> dict[str, Any]:
    latency = {
        name: sorted((arrivals[name][each] - sides[name][0].began[each]) * 1000 for each in ids)
        for name, ids in latency_ids.items()
    }
    rate = {name: statistics.median(side.per_second) for name, (side, _) in sides.items()}
    ours, floor = sides["ours"][0], sides["floor"][0]
    # Round by round, so that what else the machine did in a round falls on both sides of its ratio.
    ratios = [mine / theirs for mine, theirs in zip(ours.per_second, floor.per_second, strict=True)]
    third = max(plan.rounds // 3, 1)
    orders = after.orders - before.orders
    p50 = {name: statistics.median(values) for name, values in latency.items()}
    return {
        "throughput_ratio": round(statistics.median(ratios), 3),
        "latency_p50_ratio": round(p50["ours"] / p50["floor"], 3),
        "throughput_ratio_last_to_first_third": round(
            statistics.median(ratios[-third:]) / statistics.median(ratios[:third]), 3
        ),
        "record_ms_p50": round(statistics.median(ours.recording) * 1000, 2),
        "history_events_per_order": statistics.mean(len(each.events) for each in histories),
        "history_bytes_per_order": round(statistics.mean(_size(each) for each in histories)),
        "ledger_commits_per_order": round((after.commits - before.commits) / orders, 2),
        "redis_calls_per_order": round((after.redis_calls - before.redis_calls) / orders, 2),
        "activities_per_order": statistics.mean(_activities(each) for each in histories),
        "orders_per_second": {name: round(value, 1) for name, value in rate.items()},
        "latency_ms": {
            name: {"p50": round(p50[name], 2), "p99": round(values[int(len(values) * 0.99) - 1], 2)}
            for name, values in latency.items()
        },
        "orders": orders,
        "concurrency": plan.concurrency,
        "rounds": plan.rounds,
    }


def _size(history: WorkflowHistory) -> int:
    return sum(each.ByteSize() for each in history.events)


def _activities(history: WorkflowHistory) -> int:
    """Remote activities and local ones (kept as markers)."""
    return sum(
        each.HasField("activity_task_scheduled_event_attributes") or each.HasField("marker_recorded_event_attributes")
        for each in history.events
    )
