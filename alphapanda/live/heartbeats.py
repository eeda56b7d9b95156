"""Heartbeats: the last sign of life of each process, with what it has to tell. A missing one means unknown."""

from collections.abc import Mapping
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from alphapanda.domain.ids import Broker
from alphapanda.live import keys
from alphapanda.live.quotes import LiveUnavailable

TTL_S = 30
"""How long a heartbeat speaks for its process; a component beats several times within it."""


class Heartbeat(msgspec.Struct, frozen=True):
    """`at` is the writer's clock in epoch seconds; `detail` is JSON data of the component's own."""

    component: str
    state: str
    at: float
    detail: dict[str, Any]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Heartbeat)


async def write(
    redis: "Redis",
    component: str,
    *,
    state: str,
    at: float,
    detail: Mapping[str, Any],
    broker: Broker | None = None,
    ttl_s: int = TTL_S,
) -> None:
    """Replace the component's heartbeat. Raises LiveUnavailable."""
    beat = Heartbeat(component, state, at, dict(detail))
    try:
        await redis.set(keys.heartbeat(component, broker), _encoder.encode(beat), ex=ttl_s)
    except (RedisError, OSError) as error:
        raise LiveUnavailable(f"a heartbeat could not be written: {type(error).__name__}") from error


async def read(redis: "Redis", component: str, broker: Broker | None = None) -> Heartbeat | None:
    """The component's heartbeat; None when it has been silent for its time to live. Raises LiveUnavailable."""
    try:
        raw = await redis.get(keys.heartbeat(component, broker))
    except (RedisError, OSError) as error:
        raise LiveUnavailable(f"a heartbeat could not be read: {type(error).__name__}") from error
    return _decoder.decode(raw) if raw else None
