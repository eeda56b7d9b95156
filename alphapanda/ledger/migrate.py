"""Migrations from code: up to the head, and the check at every start that the database is there."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import cache
from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.domain.errors import AlphaPandaError
from alphapanda.ledger.engine import create_ledger_engine
from alphapanda.ledger.queries import ledger_errors

_LOCK_KEY = 0x616C706861  # "alpha": one migration at a time, however many processes start together


class LedgerNotMigrated(AlphaPandaError):  # noqa: N818 - named for the condition
    """The database is not at the revision this version needs."""

    code = "LEDGER_NOT_MIGRATED"
    default_next_action = "Run `alphapanda bootstrap`."


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration on the packaged scripts, over an open connection."""
    config = Config()
    config.set_main_option("script_location", str(files("migrations")))
    config.attributes["connection"] = connection
    return config


async def upgrade(database_url: str, revision: str = "head") -> None:
    """Migrate up. Safe to repeat and to race: an advisory lock lets one run at a time. Raises LedgerUnavailable."""
    await _run(database_url, lambda config: command.upgrade(config, revision))


async def downgrade(database_url: str, revision: str = "base") -> None:
    await _run(database_url, lambda config: command.downgrade(config, revision))


async def _run(database_url: str, step: Callable[[Config], None]) -> None:
    engine = create_ledger_engine(database_url, pool_size=1)
    try:
        async with AsyncExitStack() as opened:
            with ledger_errors():
                connection = await opened.enter_async_context(engine.begin())
            await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            await connection.run_sync(lambda sync: step(alembic_config(sync)))
    finally:
        await engine.dispose()


@cache
def _head() -> str | None:
    return ScriptDirectory.from_config(alembic_config()).get_current_head()


async def verify_head(engine: AsyncEngine) -> None:
    """Raises LedgerNotMigrated unless the database is at the newest revision, LedgerUnavailable if it is not there."""
    with ledger_errors():
        async with engine.connect() as connection:
            current = await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
    if current != _head():
        raise LedgerNotMigrated(f"the ledger is at revision {current or 'none'}, this version needs {_head()}")
