"""The state nonce of a login in a browser: proof that the callback ends a login that was begun here.

256 random bits, of which the ledger has the hash only; good once, for minutes, for one broker.
"""

import hashlib
import re
import secrets
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.domain.ids import Broker
from alphapanda.ledger.queries import ledger_errors

LIFETIME = timedelta(minutes=10)
"""How long a person may take on the broker's login page; the request token lives minutes, too."""

_KEPT = timedelta(days=1)
_BYTES = 32
_FORM = re.compile(r"[A-Za-z0-9_-]{43}")
"""32 bytes in URL-safe base64."""

_ISSUE = text("""
WITH old AS (DELETE FROM login_nonces WHERE expires_at < :forget)
INSERT INTO login_nonces (nonce_hash, broker, created_at, expires_at) VALUES (:hash, :broker, :now, :expires)
""")

_USE = text("""
UPDATE login_nonces SET used_at = :now
WHERE nonce_hash = :hash AND broker = :broker AND used_at IS NULL AND expires_at > :now
RETURNING 1
""")


async def issue_nonce(engine: AsyncEngine, broker: Broker, *, now: datetime) -> str:
    """A fresh nonce, URL-safe text. Raises LedgerUnavailable."""
    nonce = secrets.token_urlsafe(_BYTES)
    values = {"hash": _hash(nonce), "broker": broker, "now": now, "expires": now + LIFETIME, "forget": now - _KEPT}
    with ledger_errors():
        async with engine.begin() as connection:
            await connection.execute(_ISSUE, values)
    return nonce


async def use_nonce(engine: AsyncEngine, broker: Broker, nonce: str, *, now: datetime) -> bool:
    """Whether it is one of ours, of this broker, in time and for the first time; of callers that race one is told so.

    Raises LedgerUnavailable. Anybody may ask: what cannot be a nonce costs no connection to the ledger.
    """
    if _FORM.fullmatch(nonce) is None:
        return False
    with ledger_errors():
        async with engine.begin() as connection:
            used = await connection.execute(_USE, {"hash": _hash(nonce), "broker": broker, "now": now})
            return used.one_or_none() is not None


def _hash(nonce: str) -> str:
    return hashlib.sha256(nonce.encode()).hexdigest()
