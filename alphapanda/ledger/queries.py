"""Reading the ledger: what every query module beside this one shares.

Each query is one statement, read without a transaction of its own. Lists are walked by key, never by offset, so a
page stays where it was while new rows arrive.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import Row, Select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.ledger.engine import LedgerUnavailable

MAX_LIMIT = 200
DEFAULT_LIMIT = 50

_NOT_MIGRATED = ("42P01", "42703")  # undefined table, undefined column
_CANNOT_SERVE = ("08", "28", "3D", "53", "57")  # connection, login, no such database, resources, starting or stopping

Item = TypeVar("Item")
Key = TypeVar("Key", bound=tuple[Any, ...])


@dataclass(frozen=True, slots=True)
class Page(Generic[Item, Key]):
    """One page of a list. `next_key` is the key of its last item where more follow, None at the end."""

    items: tuple[Item, ...]
    next_key: Key | None


@contextmanager
def ledger_errors() -> Iterator[None]:
    """Inside, whatever means "Postgres cannot answer" becomes LedgerUnavailable; a bad statement stays what it is."""
    try:
        yield
    except (DBAPIError, asyncpg.PostgresError) as error:
        named = _named(error)
        if named is None:
            raise
        raise named from error
    except (OSError, PoolTimeout, asyncpg.InterfaceError) as error:  # OSError: TimeoutError too
        if isinstance(error, ValueError):  # asyncpg's way to say that a value does not fit its column
            raise
        raise LedgerUnavailable(f"the ledger cannot be reached: {type(error).__name__}") from error


def _named(error: Exception) -> LedgerUnavailable | None:
    """What the database itself said, whether SQLAlchemy passed it on or asyncpg; None for a fault of ours."""
    sqlstate = str(getattr(getattr(error, "orig", error), "sqlstate", None) or "")
    if sqlstate in _NOT_MIGRATED:
        return LedgerUnavailable("the ledger's tables are missing or old", next_action="Run `alphapanda bootstrap`.")
    if getattr(error, "connection_invalidated", False) or sqlstate[:2] in _CANNOT_SERVE:
        return LedgerUnavailable("the ledger closed or refused the connection")
    return None


async def fetch(engine: AsyncEngine, statement: Select[Any]) -> Sequence[Row[Any]]:
    """All rows of one statement. Raises LedgerUnavailable when Postgres cannot answer."""
    with ledger_errors():
        try:
            return await _fetch(engine, statement)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
        # The connection died while it idled in the pool (the server was restarted). Reading twice is harmless.
        return await _fetch(engine, statement)


async def _fetch(engine: AsyncEngine, statement: Select[Any]) -> Sequence[Row[Any]]:
    # Autocommit spares a lone read the BEGIN and ROLLBACK round trips.
    async with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        result = await connection.execute(statement)
        return list(result)
