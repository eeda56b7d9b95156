"""The three servers, asked directly. Temporal's own answer comes through the API, which speaks its protocol."""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from redis.asyncio import Redis
from redis.exceptions import RedisError
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.domain.errors import AlphaPandaError
from alphapanda.domain.ids import Broker
from alphapanda.endpoints import Endpoints
from alphapanda.health.check import Check, failed, ok, warning
from alphapanda.ledger.engine import LedgerUnavailable, create_ledger_engine
from alphapanda.ledger.migrate import verify_head
from alphapanda.live import heartbeats, keys
from alphapanda.live.quotes import LiveUnavailable
from alphapanda.redaction import redact_text

_TIMEOUT_S = 5.0
_CLOCK_TOLERANCE_S = 1.0


async def check_postgres(endpoints: Endpoints) -> list[Check]:
    """Reachable, migrated, and of one mind with us about the time."""
    try:
        engine = create_ledger_engine(endpoints.database_url, pool_size=1)
    except AlphaPandaError as error:
        return [failed("postgres", error.message, error.next_action)]
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return [*await _answers(engine), await _is_migrated(engine)]
    except (SQLAlchemyError, OSError) as error:
        why = redact_text(str(error).splitlines()[0]) if str(error) else f"no answer within {_TIMEOUT_S:g} s"
        return [failed("postgres", why, LedgerUnavailable.default_next_action)]
    finally:
        await engine.dispose()


async def _answers(engine: AsyncEngine) -> list[Check]:
    async with engine.connect() as connection:
        version = (await connection.execute(text("SHOW server_version"))).scalar_one()
        asked = time.time()
        theirs: datetime = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
        ours = (asked + time.time()) / 2
    offset = theirs.astimezone(UTC).timestamp() - ours
    detail = f"{offset:+.3f} s between Postgres and this machine"
    if abs(offset) > _CLOCK_TOLERANCE_S:
        clock = warning("clock", detail, "Synchronise the clocks (NTP): fresh and stale are told by them.")
    else:
        clock = ok("clock", detail)
    return [ok("postgres", f"answers ({version})"), clock]


async def _is_migrated(engine: AsyncEngine) -> Check:
    try:
        await verify_head(engine)
    except AlphaPandaError as error:
        return failed("migrations", error.message, error.next_action)
    return ok("migrations", "at the newest revision")


async def check_redis(endpoints: Endpoints, brokers: Sequence[Broker]) -> list[Check]:
    """Reachable, and with the orders worker's sign of life for each broker."""
    redis = Redis.from_url(endpoints.redis_url)
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await redis.ping()
            return [ok("redis", "answers"), *[await _orders_worker(redis, broker) for broker in brokers]]
    except (RedisError, LiveUnavailable, OSError) as error:
        why = redact_text(str(error)) or f"no answer within {_TIMEOUT_S:g} s"
        return [failed("redis", why, LiveUnavailable.default_next_action)]
    finally:
        await redis.aclose()


async def _orders_worker(redis: "Redis", broker: Broker) -> Check:
    component = f"orders worker ({broker})"
    beat = await heartbeats.read(redis, keys.ORDERS, broker)
    if beat is None:
        return failed(component, "no sign of life", "Start it: `python -m workers.run`, or `alphapanda up`.")
    return ok(component, f"{beat.state}, heard {max(0.0, time.time() - beat.at):.0f} s ago")


async def check_temporal(endpoints: Endpoints) -> list[Check]:
    """Whether somebody listens there."""
    host, _, port = endpoints.temporal_address.rpartition(":")
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            _, writer = await asyncio.open_connection(host or "127.0.0.1", int(port))
        writer.close()
    except (OSError, ValueError) as error:
        action = "Start Temporal (or `alphapanda up`), or correct ALPHAPANDA_TEMPORAL__ADDRESS."
        return [failed("temporal port", f"{endpoints.temporal_address}: {error or 'no answer'}", action)]
    return [ok("temporal port", f"{endpoints.temporal_address} listens")]
