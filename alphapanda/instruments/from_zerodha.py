"""The day's dump from Zerodha: fetched whole, as its server sends it, and loaded."""

from datetime import datetime

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.brokers.protocol import BrokerUnavailable
from alphapanda.brokers.zerodha.client import KiteClient
from alphapanda.domain.ids import Broker
from alphapanda.instruments.acceptance import Rules
from alphapanda.instruments.freshness import dump_day
from alphapanda.instruments.loading import load_dump
from alphapanda.ledger.instrument_loads import LoadRecord
from alphapanda.live.limits import AccountLimits
from alphapanda.sessions.tokens import TokenStore
from alphapanda.sessions.vault import Vault
from alphapanda.settings import Settings

ZERODHA = Broker("zerodha")
SIMULATOR = "kite-sim"

_TIMEOUT_S = 60.0
"""For some 10 MB, over a line that may be slow; an ordinary read has seconds."""
_FEWEST = 20_000
"""Kite lists more than 100,000 instruments: a fifth of that is no dump of a day."""


def source_of(settings: Settings) -> str:
    """What the history calls dumps from there: a simulator's never pass for Zerodha's."""
    return SIMULATOR if settings.zerodha.is_simulated else str(ZERODHA)


async def load_from_zerodha(
    settings: Settings, engine: AsyncEngine, redis: "Redis", *, actor: str, now: datetime, anyway: bool = False
) -> LoadRecord:
    """Fetch all instruments with the stored session and load them. Raises BrokerError, and what `load_dump` raises."""
    simulated = settings.zerodha.is_simulated
    data = await _fetched(settings, engine, redis)
    return await load_dump(
        engine,
        data,
        as_of=dump_day(now),
        source=source_of(settings),
        origin=f"{settings.zerodha.api_root}/instruments",
        actor=actor,
        now=now,
        rules=Rules(min_rows=1 if simulated else _FEWEST, whole=not simulated, anyway=anyway),
    )


async def _fetched(settings: Settings, engine: AsyncEngine, redis: "Redis") -> bytes:
    client = KiteClient(
        ZERODHA,
        settings.zerodha,
        TokenStore(engine, Vault.open(settings)),
        AccountLimits(redis, ZERODHA, settings.zerodha.limits),
    )
    try:
        data: object = await client.read(lambda kite: kite.instruments(), timeout_s=_TIMEOUT_S)
    finally:
        await client.close()
    if not isinstance(data, bytes):
        raise BrokerUnavailable("Zerodha answered with something other than its instruments' CSV")
    return data
