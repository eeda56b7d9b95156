"""Last prices as the desk's screen shows them, and terms in rupees made from percents of them."""

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from redis.asyncio import Redis

from alphapanda.domain.instrument import instrument_key
from alphapanda.domain.vocabulary import Exchange
from alphapanda.feed.simulated_symbols import profile_of, tick_size_at
from alphapanda.live.quotes import last_quote
from alphapanda.rehearsal.plan import OPTION, PlannedOrder
from alphapanda.rehearsal.storm import SYMBOLS
from alphapanda.rehearsal.surroundings import Option

_POLL_S = 0.1


class Prices:
    def __init__(self, redis: "Redis", option: Option) -> None:
        self._redis = redis
        self._option = option

    async def until_quoted(self) -> None:
        """Until every instrument of a storm has a price."""
        for symbol in (*SYMBOLS, OPTION):
            while await last_quote(self._redis, self.key(symbol)) is None:
                await asyncio.sleep(_POLL_S)

    def name(self, symbol: str) -> tuple[str, str]:
        """Exchange and tradingsymbol of a planned order's symbol."""
        if symbol == OPTION:
            return self._option.exchange, self._option.tradingsymbol
        return Exchange.NSE, symbol

    def key(self, symbol: str) -> str:
        return instrument_key(*self.name(symbol))

    async def away(self, symbol: str, percent: Decimal) -> str:
        """The price `percent` away from the last, on the grid."""
        tick = await last_quote(self._redis, self.key(symbol))
        if tick is None:
            raise RuntimeError(f"{symbol} was quoted before and is not any more")
        size = tick_size_at(profile_of(symbol).base_price) if symbol != OPTION else Decimal("0.05")
        return str(round(tick.price * (1 + percent / 100) / size) * size)

    async def signal(self, order: PlannedOrder, broker: str) -> dict[str, Any]:
        """The body of `POST /signals`."""
        exchange, tradingsymbol = self.name(order.tradingsymbol)
        percents: Mapping[str, Decimal | None] = {
            "price": order.price_percent,
            "trigger_price": order.trigger_percent,
        }
        prices = {
            name: await self.away(order.tradingsymbol, percent)
            for name, percent in percents.items()
            if percent is not None
        }
        body = {
            "signal_id": order.signal_id,
            "strategy_id": "storm",
            "brokers": [broker],
            "exchange": exchange,
            "tradingsymbol": tradingsymbol,
            "side": order.side,
            "quantity": order.quantity,
            "order_type": order.order_type,
            "product": order.product,
            "validity": order.validity,
            "validity_minutes": order.validity_minutes,
            "variety": order.variety,
            "iceberg_legs": order.iceberg_legs,
            **prices,
        }
        return {name: value for name, value in body.items() if value is not None}
