"""When a broker was reconciled last, and what could be read of it then. Absent means unknown."""

from datetime import datetime
from decimal import Decimal

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from alphapanda.domain.ids import Broker
from alphapanda.live import keys
from alphapanda.live.quotes import LiveUnavailable
from alphapanda.reconciliation.views import BrokerView, Unread


class Reconciled(msgspec.Struct, frozen=True):
    """`unread` maps the parts that could not be read to their reasons. Cash is the broker's, in rupees, None where it
    could not be read: the ledger keeps no account of it to compare."""

    at: datetime
    unread: dict[str, str]
    cash: Decimal | None
    available: Decimal | None
    used: Decimal | None


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Reconciled)


async def write_reconciled(redis: "Redis", broker: Broker, seen: BrokerView, *, at: datetime) -> None:
    """Raises LiveUnavailable."""
    margins = None if isinstance(seen.margins, Unread) else seen.margins
    told = Reconciled(
        at=at,
        unread=seen.unread,
        cash=None if margins is None else margins.cash,
        available=None if margins is None else margins.available,
        used=None if margins is None else margins.used,
    )
    try:
        await redis.set(keys.reconciled(broker), _encoder.encode(told))
    except (RedisError, OSError) as error:
        raise LiveUnavailable(f"a reconciliation could not be told: {type(error).__name__}") from error


async def read_reconciled(redis: "Redis", broker: Broker) -> Reconciled | None:
    """Raises LiveUnavailable."""
    try:
        raw = await redis.get(keys.reconciled(broker))
    except (RedisError, OSError) as error:
        raise LiveUnavailable(f"a reconciliation could not be read: {type(error).__name__}") from error
    return _decoder.decode(raw) if raw else None
