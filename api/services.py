"""What the routes work with: ledger, Redis and order desk, connected in the background and again after an outage.

The API starts and stays up whatever is down; a route that needs a missing part answers 503 and names it.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cached_property

import structlog
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from temporalio.client import Client

from alphapanda.domain.calendar import Calendar
from alphapanda.domain.errors import AlphaPandaError
from alphapanda.endpoints import Endpoints, resolve_endpoints
from alphapanda.ledger.engine import LedgerEngine, LedgerUnavailable, create_ledger_engine
from alphapanda.ledger.migrate import LedgerNotMigrated, verify_head
from alphapanda.settings import Settings
from workflows.desk import OrderDesk, order_policy
from workflows.runtime import WorkflowsUnavailable, connect, market_calendar, orders_worker

_FIRST_WAIT_S = 5.0
"""How long the start waits for the first connections: with all parts up, the first request finds them."""

_RETRY_S = 1.0
_LOOK_AGAIN_S = 2.0
_REDIS_TIMEOUT_S = 1.0

_log = structlog.get_logger("alphapanda.api")


@dataclass(frozen=True, slots=True)
class _Stores:
    endpoints: Endpoints
    engine: LedgerEngine
    redis: "Redis"


class Services:
    """One per app. `running()` keeps it connected; the properties raise what is missing at this moment."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._stores: _Stores | None = None
        self._client: Client | None = None
        self._desk: OrderDesk | None = None
        self._missing: AlphaPandaError | None = None
        self._tried = asyncio.Event()

    @property
    def ledger(self) -> LedgerEngine:
        """Raises LedgerUnavailable while it is not known where the ledger is."""
        if self._stores is None:
            raise LedgerUnavailable(
                self._missing.message if self._missing else "the ledger is not connected yet",
                next_action=self._missing.next_action if self._missing else None,
            )
        return self._stores.engine

    @property
    def redis(self) -> "Redis | None":
        return None if self._stores is None else self._stores.redis

    @cached_property
    def calendar(self) -> Calendar | None:
        """The sessions that orders are sent in; None while every hour counts as open, and where it cannot be read."""
        try:
            return market_calendar(self.settings)
        except (AlphaPandaError, OSError) as error:
            _log.warning("calendar_unreadable", detail=str(error))
            return None

    @property
    def temporal(self) -> Client:
        """Raises WorkflowsUnavailable until Temporal has been reached once; a client reconnects by itself."""
        if self._client is None:
            raise WorkflowsUnavailable(
                self._missing.message if self._missing else "Temporal is not connected yet",
                next_action=self._missing.next_action if self._missing else None,
            )
        return self._client

    @property
    def desk(self) -> OrderDesk:
        """Raises WorkflowsUnavailable like `temporal`, or what the ledger lacks."""
        missing = self._missing
        if self._desk is None and isinstance(missing, LedgerUnavailable | LedgerNotMigrated):
            raise type(missing)(missing.message, next_action=missing.next_action)
        if self._desk is None:
            raise WorkflowsUnavailable(
                self._missing.message if self._missing else "Temporal is not connected yet",
                next_action=self._missing.next_action if self._missing else None,
            )
        return self._desk

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._keep_connected(), name="api-connections")
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_WAIT_S):
                    await self._tried.wait()
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _keep_connected(self) -> None:
        while True:
            try:
                await self._use(resolve_endpoints(self.settings))
            except AlphaPandaError as error:
                self._note(error)
            except Exception:
                _log.exception("api_connections_failed")
            self._tried.set()
            await asyncio.sleep(_RETRY_S)

    async def _use(self, endpoints: Endpoints) -> None:
        """Work with these servers until their addresses change (an embedded stack was started anew)."""
        async with contextlib.AsyncExitStack() as opened:
            engine = create_ledger_engine(endpoints.database_url, pool_size=self.settings.database.pool_size)
            opened.push_async_callback(engine.dispose)
            redis = connect_redis(endpoints.redis_url)
            opened.push_async_callback(redis.aclose)
            self._stores = _Stores(endpoints, engine, redis)
            opened.callback(self._forget)
            work = asyncio.create_task(self._keep_working(self._stores), name="api-orders-worker")
            opened.push_async_callback(_cancelled, work)
            await self._moved(endpoints)

    def _forget(self) -> None:
        self._stores = self._client = self._desk = None

    async def _keep_working(self, stores: _Stores) -> None:
        """Connect to Temporal and run the orders worker beside the desk; start over when either fails."""
        while True:
            try:
                client = await connect(self.settings, stores.endpoints)
                self._client = client
                await verify_head(stores.engine)
                worker = orders_worker(client, stores.engine, stores.redis, self.settings)
                self._desk = OrderDesk(client, stores.engine, order_policy(self.settings))
                self._missing = None
                self._tried.set()
                await worker.run()
            except AlphaPandaError as error:
                self._note(error)
            except Exception:
                _log.exception("orders_worker_failed")
            self._tried.set()
            await asyncio.sleep(_RETRY_S)

    async def _moved(self, endpoints: Endpoints) -> None:
        while True:
            await asyncio.sleep(_LOOK_AGAIN_S)
            try:
                now = resolve_endpoints(self.settings)
            except AlphaPandaError:
                continue  # gone for now; it may come back where it was
            if now != endpoints:
                _log.info("api_servers_moved")
                return

    def _note(self, error: AlphaPandaError) -> None:
        if self._missing is None or str(self._missing) != str(error):
            _log.warning("api_dependency_missing", code=error.code, detail=str(error), next_action=error.next_action)
        self._missing = error


def connect_redis(url: str) -> "Redis":
    """A client that gives up soon: whatever comes from Redis is shown as unknown rather than waited for."""
    return Redis.from_url(
        url,
        socket_timeout=_REDIS_TIMEOUT_S,
        socket_connect_timeout=_REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), retries=1),
    )


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
