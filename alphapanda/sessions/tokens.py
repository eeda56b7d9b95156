"""The access token of each broker's session: sealed in the ledger, read afresh for each call, never kept in memory.

A token that does not open (the key changed) counts as no session at all: a login heals it, and the log says so.
"""

from dataclasses import dataclass, field
from datetime import datetime

import structlog
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.domain.ids import Broker
from alphapanda.ledger.models import BrokerTokenRow
from alphapanda.ledger.queries import fetch, ledger_errors
from alphapanda.redaction import hide
from alphapanda.sessions.vault import SealBroken, Vault

_log = structlog.get_logger(__name__)
_tokens = BrokerTokenRow.__table__

_WRITE = text("""
INSERT INTO broker_tokens (broker, sealed, user_id, opened_at) VALUES (:broker, :sealed, :user_id, :at)
ON CONFLICT (broker) DO UPDATE SET sealed = excluded.sealed, user_id = excluded.user_id, opened_at = excluded.opened_at
""")

_FORGET = text("DELETE FROM broker_tokens WHERE broker = :broker AND opened_at = :opened_at")


@dataclass(frozen=True, slots=True)
class AccessToken:
    """`opened_at` tells one session of an account from the next."""

    token: str = field(repr=False)
    user_id: str
    opened_at: datetime


class TokenStore:
    """One row per broker. Raises LedgerUnavailable where Postgres cannot answer."""

    def __init__(self, engine: AsyncEngine, vault: Vault) -> None:
        self._engine = engine
        self._vault = vault
        self._unreadable: dict[Broker, datetime] = {}

    async def read(self, broker: Broker) -> AccessToken | None:
        """The token as the last login left it; None where nobody is logged in, or it does not open."""
        query = select(_tokens.c.sealed, _tokens.c.user_id, _tokens.c.opened_at).where(_tokens.c.broker == broker)
        rows = await fetch(self._engine, query)
        if not rows:
            return None
        row = rows[0]
        try:
            token = self._vault.unseal(broker, row.sealed)
        except SealBroken as error:
            self._tell(broker, row.opened_at, error)
            return None
        hide(token)
        return AccessToken(token, row.user_id, row.opened_at)

    async def write(self, broker: Broker, token: str, user_id: str, *, at: datetime) -> None:
        """Keep the token of a login made at `at`, in place of any before it."""
        hide(token)
        sealed = self._vault.seal(broker, token)
        with ledger_errors():
            async with self._engine.begin() as connection:
                await connection.execute(_WRITE, {"broker": broker, "sealed": sealed, "user_id": user_id, "at": at})

    async def forget(self, broker: Broker, *, opened_at: datetime) -> None:
        """Drop the token of the session opened at `opened_at`; a newer one stays."""
        with ledger_errors():
            async with self._engine.begin() as connection:
                await connection.execute(_FORGET, {"broker": broker, "opened_at": opened_at})

    def _tell(self, broker: Broker, opened_at: datetime, error: SealBroken) -> None:
        """Once per token, not once per call."""
        if self._unreadable.get(broker) != opened_at:
            self._unreadable[broker] = opened_at
            _log.warning(
                "session_unreadable",
                broker=broker,
                code=error.code,
                detail=error.message,
                next_action=error.next_action,
            )
