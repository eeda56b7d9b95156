"""The hot path's way to Postgres: asyncpg itself, one round trip and one commit per statement.

Each order takes three such statements. Through SQLAlchemy's asynchronous layer they cost more processor time than
everything else the order does in Python, so accept, clear and record go past it; the rest of the ledger does not.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy.engine.url import URL

Row = Mapping[str, Any]
Values = Mapping[str, Any]
Fetch = Callable[["Statement", Values], Coroutine[Any, Any, list[Row]]]

_NAME = re.compile(r"(?<!:):([a-z_]+)")


class Statement:
    """SQL with `:name` parameters, translated once to the positional ones of the protocol."""

    def __init__(self, sql: str) -> None:
        self._names = tuple(dict.fromkeys(_NAME.findall(sql)))
        places = {name: f"${number}" for number, name in enumerate(self._names, start=1)}
        self.sql = _NAME.sub(lambda found: places[found[1]], sql)

    def arguments(self, values: Values) -> list[Any]:
        return [values[name] for name in self._names]


async def _keep_as_it_is(_connection: object) -> None:
    """Nothing here leaves state on a connection, so a return to the pool need not cost a round trip."""


class FastPath:
    """A pool of its own, opened with the first statement. Raises asyncpg's errors and OSError."""

    def __init__(self, url: URL, *, pool_size: int) -> None:
        self._dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._size = pool_size
        self._opening = asyncio.Lock()
        self._pool: Any = None

    async def fetch(self, statement: Statement, values: Values) -> list[Row]:
        """Run one statement as a transaction of its own."""
        async with self.connection() as fetch:
            return await fetch(statement, values)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Fetch]:
        """Several statements on one connection, each a transaction of its own."""
        pool = self._pool or await self._opened()
        async with pool.acquire() as connection:
            yield partial(_fetch, connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Fetch]:
        """Several statements as one transaction."""
        pool = self._pool or await self._opened()
        async with pool.acquire() as connection, connection.transaction():
            yield partial(_fetch, connection)

    async def close(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    async def _opened(self) -> Any:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    self._dsn, min_size=0, max_size=self._size, reset=_keep_as_it_is, timeout=10, command_timeout=30
                )
        return self._pool


async def _fetch(connection: Any, statement: Statement, values: Values) -> list[Row]:
    rows: list[Row] = await connection.fetch(statement.sql, *statement.arguments(values))
    return rows
