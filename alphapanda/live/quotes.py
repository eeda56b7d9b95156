"""Quotes: the tick as it travels, and the last quote per instrument.

Ticks are floats (the hot path's exception to exact money); `Quote.price` and its like turn them into exact decimals
on the paisa grid the exchange quotes in.
"""

from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import cast

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from alphapanda.domain.errors import AlphaPandaError
from alphapanda.domain.money import Price
from alphapanda.live import keys

QUOTE_TTL_S = 86_400


class LiveUnavailable(AlphaPandaError):  # noqa: N818 - named for the condition
    """Redis cannot be reached: quotes are unknown, never old or zero."""

    code = "LIVE_UNAVAILABLE"
    default_next_action = "Start Redis or Valkey (or `alphapanda up`), or correct ALPHAPANDA_REDIS__URL."


class Tick(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """One trade or quote update of `instrument` (`NSE:INFY`).

    Prices are rupees; `volume` is the quantity traded since the previous tick, None where the source does not say;
    `bid`/`ask` are None where there is no depth. `exchange_time` is the source's own clock and `received_at` ours,
    both seconds since the epoch (UTC).
    """

    instrument: str
    last_price: float
    exchange_time: float
    received_at: float
    volume: int | None = None
    bid: float | None = None
    ask: float | None = None

    @property
    def price(self) -> Price:
        return exact(self.last_price)

    @property
    def age_reference(self) -> datetime:
        return datetime.fromtimestamp(self.received_at, tz=UTC)


def exact(value: float) -> Price:
    """The exact rupee price nearest to a float tick: four decimals are enough for every segment."""
    return Price(Decimal(repr(round(value, 4))))


_encoder = msgspec.msgpack.Encoder()
_decode_batch = msgspec.msgpack.Decoder(tuple[Tick, ...])
_decode_tick = msgspec.msgpack.Decoder(Tick)


async def publish(redis: "Redis", ticks: Sequence[Tick]) -> None:
    """Store the last quote of each instrument and fan the batch out. Raises LiveUnavailable; ticks are then dropped."""
    latest = {tick.instrument: tick for tick in ticks}
    try:
        async with redis.pipeline(transaction=False) as pipe:
            for instrument, tick in latest.items():
                pipe.set(keys.quote(instrument), _encoder.encode(tick), ex=QUOTE_TTL_S)
            pipe.publish(keys.TICKS_CHANNEL, _encoder.encode(tuple(ticks)))
            await pipe.execute()
    except (RedisError, OSError) as error:
        raise LiveUnavailable(f"ticks could not be published: {type(error).__name__}") from error


async def last_quote(redis: "Redis", instrument: str) -> Tick | None:
    """The last tick of an instrument; None when none is known. Raises LiveUnavailable."""
    quotes = await last_quotes(redis, (instrument,))
    return quotes[instrument]


async def last_quotes(redis: "Redis", instruments: Sequence[str]) -> dict[str, Tick | None]:
    """The last ticks in one round trip, None for those unknown. Raises LiveUnavailable."""
    if not instruments:
        return {}
    try:
        raw = cast("list[bytes | None]", await redis.mget([keys.quote(instrument) for instrument in instruments]))
    except (RedisError, OSError) as error:
        raise LiveUnavailable(f"quotes could not be read: {type(error).__name__}") from error
    return {name: _decoded(data) for name, data in zip(instruments, raw, strict=True)}


def _decoded(data: bytes | None) -> Tick | None:
    """A quote that cannot be read (another version wrote it) is unknown, like one that is not there."""
    try:
        return _decode_tick.decode(data) if data else None
    except msgspec.DecodeError:
        return None


async def tick_batches(redis: "Redis") -> AsyncGenerator[tuple[Tick, ...], None]:
    """Batches as they are published, from now on.

    An empty batch says that a subscription has just begun (the first one, or one renewed after a dropped connection):
    what was published before it was not heard, so read the last quotes again. Raises LiveUnavailable when the
    connection drops for good: subscribe again.
    """
    pubsub = redis.pubsub()
    try:
        await pubsub.subscribe(keys.TICKS_CHANNEL)
        async for message in pubsub.listen():
            if message["type"] == "subscribe":
                yield ()
            elif message["type"] == "message":
                data: bytes = message["data"]
                yield _decode_batch.decode(data)
    except (RedisError, OSError) as error:
        raise LiveUnavailable(f"the tick channel closed: {type(error).__name__}") from error
    finally:
        await pubsub.aclose()  # type: ignore[no-untyped-call]
