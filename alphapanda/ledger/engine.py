"""The ledger's engine: one pool per process, one transaction per use case."""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.engine.url import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from alphapanda.domain.errors import AlphaPandaError
from alphapanda.domain.ids import Broker
from alphapanda.ledger.fast import FastPath, Fetch, Statement
from alphapanda.settings import SettingsError

T = TypeVar("T")

_LOCK = Statement("SELECT version FROM portfolios WHERE broker = :broker FOR UPDATE")


class PortfolioMoved(Exception):  # noqa: N818 - named for the condition; never leaves the ledger
    """Somebody else changed the portfolio between the read and the write."""


class LedgerUnavailable(AlphaPandaError):  # noqa: N818 - named for the condition
    """Postgres cannot be reached."""

    code = "LEDGER_UNAVAILABLE"
    default_next_action = "Start Postgres (or `alphapanda up`), or correct ALPHAPANDA_DATABASE__URL."


class LedgerEngine(AsyncEngine):
    """SQLAlchemy's engine, with the hot path's own pool beside it."""

    def __init__(self, engine: AsyncEngine, *, pool_size: int) -> None:
        super().__init__(engine.sync_engine)
        self.fast = FastPath(engine.url, pool_size=pool_size)
        self._turns: defaultdict[Broker, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def dispose(self, close: bool = True) -> None:
        """Close both pools."""
        await self.fast.close()
        await super().dispose(close)

    async def in_turn(self, broker: Broker, attempt: Callable[[Fetch], Awaitable[T]]) -> T:
        """Read a portfolio, decide, and write under the version that was read: `attempt` does all three.

        Orders of this process take turns. Where another process moved the portfolio in between, `attempt` raises
        PortfolioMoved, having written nothing, and runs again under the portfolio's row lock.
        """
        async with self._turns[broker]:
            async with self.fast.connection() as fetch:
                with contextlib.suppress(PortfolioMoved):
                    return await attempt(fetch)
            async with self.fast.transaction() as fetch:
                await fetch(_LOCK, {"broker": broker})
                return await attempt(fetch)


def create_ledger_engine(url: str, *, pool_size: int = 10) -> LedgerEngine:
    """An engine for `postgresql+asyncpg://…`. The caller owns it and disposes of it."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.drivername != "postgresql+asyncpg":
        # The URL itself may hold a password, so it is not repeated here.
        raise SettingsError("ALPHAPANDA_DATABASE__URL: must look like postgresql+asyncpg://user:password@host/name")
    engine = create_async_engine(
        parsed,
        pool_size=pool_size,
        max_overflow=0,
        pool_pre_ping=False,
        pool_recycle=1800,
        connect_args={"timeout": 10},
    )
    return LedgerEngine(engine, pool_size=pool_size)
