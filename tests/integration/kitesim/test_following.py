"""A simulator whose market is a desk's own quotes."""

import asyncio
import time
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from redis.asyncio import Redis

from alphapanda.kitesim.following import follow, meet
from alphapanda.kitesim.server import KiteSim
from alphapanda.live.keys import TICKS_CHANNEL
from alphapanda.live.quotes import Tick, publish


def _tick(instrument: str, price: float) -> Tick:
    now = time.time()
    return Tick(instrument, price, now, now, 50, price - 0.1, price + 0.1)


def _last(sim: KiteSim, instrument: str) -> Decimal:
    return sim.account.exchange.market.last(instrument)


@pytest.fixture
async def following(sim: KiteSim, redis: "Redis") -> AsyncIterator[None]:
    task = asyncio.create_task(follow(sim, redis))
    while not dict(await redis.pubsub_numsub(TICKS_CHANNEL)).get(TICKS_CHANNEL.encode()):
        await asyncio.sleep(0.01)
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.usefixtures("following")
async def test_what_the_desk_quotes_is_what_its_orders_meet(sim: KiteSim, redis: "Redis") -> None:
    await publish(redis, [_tick("NSE:INFY", 1501.3), _tick("NSE:SBIN", 871.25)])
    async with asyncio.timeout(10):
        while _last(sim, "NSE:SBIN") != Decimal("871.25"):
            await asyncio.sleep(0.01)
    quote = sim.account.exchange.market.quote(sim.account.exchange.instruments.learn("NSE", "INFY"))  # type: ignore[arg-type]
    assert (quote.last, quote.bid, quote.ask) == (Decimal("1501.3"), Decimal("1501.2"), Decimal("1501.4"))
    assert quote.left(buying=True) == 50


async def test_a_quote_of_what_the_simulator_does_not_have_is_left_out(sim: KiteSim) -> None:
    await meet(sim, _tick("NFO:NIFTY99JAN1CE", 100.0))
    await meet(sim, _tick("NSE:INFY", 1499.5))
    assert _last(sim, "NSE:INFY") == Decimal("1499.5")
