"""Marks: what is known of a broker's unrealised result, refreshed at most once a second.

The daily-loss rule looks at it on every order, so it must not cost a round of reads each time.
"""

import asyncio
import time
from collections import defaultdict
from decimal import Decimal

from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.domain.ids import Broker
from alphapanda.domain.instrument import instrument_key
from alphapanda.live.quotes import LiveUnavailable, last_quotes

_OPEN = text("""
SELECT exchange, tradingsymbol, sum(quantity)::bigint AS quantity, sum(cost) AS cost FROM positions
WHERE broker = :broker AND quantity <> 0 GROUP BY exchange, tradingsymbol
""")


class Marks:
    """Unrealised result per broker in rupees, over the open positions whose price is known."""

    def __init__(self, engine: AsyncEngine, redis: "Redis", *, max_age_s: float = 1.0) -> None:
        self._engine = engine
        self._redis = redis
        self._max_age_s = max_age_s
        self._known: dict[Broker, tuple[float, Decimal]] = {}
        self._locks: defaultdict[Broker, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def unrealised(self, broker: Broker) -> Decimal:
        """The sum over known prices: a position without a quote adds nothing rather than a guess."""
        cached = self._known.get(broker)
        if cached is not None and time.monotonic() - cached[0] < self._max_age_s:
            return cached[1]
        async with self._locks[broker]:
            cached = self._known.get(broker)
            if cached is None or time.monotonic() - cached[0] >= self._max_age_s:
                self._known[broker] = cached = (time.monotonic(), await self._read(broker))
            return cached[1]

    async def _read(self, broker: Broker) -> Decimal:
        async with self._engine.connect() as connection:
            rows = (await connection.execute(_OPEN, {"broker": broker})).all()
        names = [instrument_key(row.exchange, row.tradingsymbol) for row in rows]
        try:
            quotes = await last_quotes(self._redis, names)
        except LiveUnavailable:
            return Decimal(0)
        marked = (
            row.quantity * quote.price - row.cost
            for row, name in zip(rows, names, strict=True)
            if (quote := quotes[name]) is not None and quote.last_price > 0  # zero: it has not traded yet
        )
        return sum(marked, Decimal(0))
