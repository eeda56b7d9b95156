"""A desk's own quotes as the simulator's market: what its strategies see is what its orders meet."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from redis.asyncio import Redis

from alphapanda.domain.errors import InvalidValueError
from alphapanda.live.quotes import LiveUnavailable, Tick, exact, tick_batches

if TYPE_CHECKING:
    from alphapanda.kitesim.server import KiteSim

_AGAIN_AFTER_S = 0.5


async def follow(sim: "KiteSim", redis: Redis) -> None:
    """Until cancelled. While Redis is gone prices stand still; what was quoted meanwhile was never in this market."""
    while True:
        with suppress(LiveUnavailable):
            async for batch in tick_batches(redis):
                for tick in batch:
                    await meet(sim, tick)
        await asyncio.sleep(_AGAIN_AFTER_S)


async def meet(sim: "KiteSim", tick: Tick) -> None:
    """One tick of the desk; an instrument that the simulator does not have is left out."""
    exchange, _, symbol = tick.instrument.partition(":")
    bid, ask = (None if side is None else exact(side) for side in (tick.bid, tick.ask))
    with suppress(InvalidValueError):
        await sim.set_price(exchange, symbol, tick.price, tick.volume, bid=bid, ask=ask)
