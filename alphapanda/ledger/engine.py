"""The ledger's engine: one pool per process, one transaction per use case."""

from sqlalchemy.engine.url import make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from alphapanda.domain.errors import AlphaPandaError
from alphapanda.settings import SettingsError


class LedgerUnavailable(AlphaPandaError):  # noqa: N818 - named for the condition
    """Postgres cannot be reached."""

    code = "LEDGER_UNAVAILABLE"
    default_next_action = "Start Postgres (or `alphapanda up`), or correct ALPHAPANDA_DATABASE__URL."


def create_ledger_engine(url: str, *, pool_size: int = 10) -> AsyncEngine:
    """An engine for `postgresql+asyncpg://…`. The caller owns it and disposes of it."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.drivername != "postgresql+asyncpg":
        # The URL itself may hold a password, so it is not repeated here.
        raise SettingsError("ALPHAPANDA_DATABASE__URL: must look like postgresql+asyncpg://user:password@host/name")
    return create_async_engine(
        parsed,
        pool_size=pool_size,
        max_overflow=0,
        pool_pre_ping=False,
        pool_recycle=1800,
        connect_args={"timeout": 10},
    )
