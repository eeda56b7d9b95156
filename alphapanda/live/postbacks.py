"""Postbacks taken lately: copies of one are taken once, so that they do not fill a running order's history.

A checksum proves the order's number and its time, not what stands beside them, and never that it is fresh. So whoever
has one genuine postback can send it for ever, and changed; both are bounded here. What is left out costs nothing: each
postback is only a hint to read the book, which is also read without any.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from hashlib import sha256

from redis.asyncio import Redis
from redis.exceptions import RedisError

from alphapanda.domain.ids import Broker
from alphapanda.live import keys

REMEMBERED_S = 60
MOST_PER_PROOF = 30
"""Within that time. An order filled in more parts than this is read by then, and again by the timer."""


@asynccontextmanager
async def first_copy(redis: "Redis | None", broker: Broker, *, proof: str, body: bytes) -> AsyncIterator[bool]:
    """Whether this postback is to be acted on; where the acting fails, the next copy is a first one again.

    Without Redis every copy is.
    """
    key = keys.postback(broker, sha256(body).hexdigest())
    proof_key = keys.postbacks_of_proof(broker, sha256(proof.lower().encode()).hexdigest())
    is_first = redis is None or await _claimed(redis, key, proof_key)
    try:
        yield is_first
    except BaseException:
        if redis is not None and is_first:
            with suppress(RedisError, OSError):
                await redis.delete(key)
        raise


async def _claimed(redis: "Redis", key: str, proof_key: str) -> bool:
    try:
        if not await redis.set(key, b"", nx=True, ex=REMEMBERED_S):
            return False
        async with redis.pipeline(transaction=True) as both:
            both.set(proof_key, 0, nx=True, ex=REMEMBERED_S)
            both.incr(proof_key)
            _, taken = await both.execute()
    except (RedisError, OSError):
        return True
    return int(taken) <= MOST_PER_PROOF
