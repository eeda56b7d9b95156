"""Kite's JSON shapes of the market."""

from collections.abc import Callable, Sequence
from typing import Any

from alphapanda.kitesim.clock import wall_clock
from alphapanda.kitesim.market import Quote

LEVELS = 5
_DEPTH_QUANTITY = 1000


def ltp(quote: Quote) -> dict[str, Any]:
    return {"instrument_token": quote.instrument.token, "last_price": float(quote.last)}


def ohlc(quote: Quote) -> dict[str, Any]:
    return ltp(quote) | {"ohlc": _ohlc(quote)}


def full(quote: Quote) -> dict[str, Any]:
    at = wall_clock(quote.at)
    levels = depth(quote)
    return ltp(quote) | {
        "timestamp": at,
        "last_trade_time": at,
        "last_quantity": quote.last_quantity,
        "buy_quantity": sum(level["quantity"] for level in levels["buy"]),
        "sell_quantity": sum(level["quantity"] for level in levels["sell"]),
        "volume": quote.volume,
        "average_price": round(float(quote.average), 2),
        "oi": 0,
        "oi_day_high": 0,
        "oi_day_low": 0,
        "net_change": 0,
        "lower_circuit_limit": float(quote.lower_circuit),
        "upper_circuit_limit": float(quote.upper_circuit),
        "ohlc": _ohlc(quote),
        "depth": levels,
    }


def depth(quote: Quote) -> dict[str, list[dict[str, Any]]]:
    """Five made-up levels a tick apart, the first at the quote."""
    tick = quote.instrument.tick_size
    buying = [max(quote.bid - tick * level, tick) for level in range(LEVELS)]
    selling = [quote.ask + tick * level for level in range(LEVELS)]
    quantity = _DEPTH_QUANTITY if quote.left_to_buy is None else quote.left_to_buy
    return {
        side: [{"price": float(price), "quantity": quantity, "orders": 1} for price in prices]
        for side, prices in (("buy", buying), ("sell", selling))
    }


SHAPES: dict[str, tuple[Callable[[Quote], dict[str, Any]], int]] = {
    "/quote": (full, 500),
    "/quote/ohlc": (ohlc, 1000),
    "/quote/ltp": (ltp, 1000),
}
"""By path: the shape, and the most instruments one call may name."""


def shaped(quotes: Sequence[tuple[str, Quote]], path: str) -> dict[str, Any]:
    shape, _ = SHAPES[path]
    return {name: shape(quote) for name, quote in quotes}


def _ohlc(quote: Quote) -> dict[str, float]:
    return {name: float(getattr(quote, name)) for name in ("open", "high", "low", "close")}
