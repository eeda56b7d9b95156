"""What every worker process does: settings, logs, connections opened in order and released in reverse, a drain."""

import asyncio
import contextlib
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog
from redis.asyncio import Redis
from temporalio.client import Client

from alphapanda.domain.errors import AlphaPandaError
from alphapanda.edge import at_the_edge
from alphapanda.endpoints import resolve_endpoints
from alphapanda.ledger.engine import LedgerEngine, create_ledger_engine
from alphapanda.ledger.migrate import verify_head
from alphapanda.logging import configure_logging
from alphapanda.loop import run as run_loop
from alphapanda.settings import Settings
from alphapanda.stack.process import die_with_parent
from workflows.desk import OrderDesk, order_policy
from workflows.runtime import connect

log = structlog.get_logger(__name__)

CONNECT_PATIENCE_S = 30.0
CONNECT_RETRY_S = 0.5


@dataclass(frozen=True)
class Resources:
    """What a role works with. `stop` is set by SIGTERM or SIGINT: finish what is under way, then return."""

    settings: Settings
    engine: LedgerEngine
    redis: "Redis"
    client: Client
    desk: OrderDesk
    stop: asyncio.Event


T = TypeVar("T")
Role = Callable[[Resources], Awaitable[None]]


def run_role(name: str, role: Role) -> int:
    """Run a role to its end and return the exit code: the outermost edge of a worker process."""
    die_with_parent()

    def run() -> None:
        settings = Settings.load()
        configure_logging(settings, role=name)
        run_loop(_run(name, role, settings))

    return at_the_edge(run)


async def _run(name: str, role: Role, settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop.set)
    async with contextlib.AsyncExitStack() as opened:
        endpoints = resolve_endpoints(settings)
        engine = create_ledger_engine(endpoints.database_url, pool_size=settings.database.pool_size)
        opened.push_async_callback(engine.dispose)
        redis = Redis.from_url(endpoints.redis_url)
        opened.push_async_callback(redis.aclose)
        await _patiently("the ledger", lambda: verify_head(engine), stop)
        client = await _patiently("Temporal", lambda: connect(settings, endpoints), stop)
        if client is None:
            return
        desk = OrderDesk(client, engine, order_policy(settings))
        log.info("started", role=name)
        try:
            await role(Resources(settings, engine, redis, client, desk, stop))
        except AlphaPandaError:
            raise  # told at the edge, in its own words
        except Exception:
            log.exception("the process failed", role=name)
            raise
        log.info("stopped", role=name)


async def _patiently(part: str, reach: Callable[[], Awaitable[T]], stop: asyncio.Event) -> T | None:
    """Servers may still be starting: try for a while. None when told to stop meanwhile."""
    deadline = asyncio.get_running_loop().time() + CONNECT_PATIENCE_S
    while not stop.is_set():
        try:
            return await reach()
        except AlphaPandaError as error:
            if asyncio.get_running_loop().time() > deadline:
                raise
            log.warning("waiting", part=part, code=error.code, error=str(error))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), CONNECT_RETRY_S)
    return None


async def every(interval_s: float, stop: asyncio.Event, work: Callable[[], Awaitable[None]], name: str) -> None:
    """Do `work` now and every `interval_s` until `stop`; a failure is logged and tried again next time."""
    while not stop.is_set():
        try:
            await work()
        except AlphaPandaError as error:
            log.warning("a periodic task will be tried again", task=name, code=error.code, error=str(error))
        except Exception:
            log.exception("a periodic task failed", task=name)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), interval_s)
