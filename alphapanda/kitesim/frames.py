"""Kite's binary ticks: big-endian, prices as whole numbers, the packet's length telling its kind."""

import struct
from collections.abc import Iterable
from decimal import Decimal

from alphapanda.kitesim.market import Quote
from alphapanda.kitesim.quotes import depth

HEARTBEAT = b"\x00"
MODES = ("ltp", "quote", "full")
_DIVISORS = {3: 10_000_000, 6: 10_000}
_MOST = 0xFFFF_FFFF


def frame(quotes: Iterable[tuple[Quote, str]]) -> bytes:
    """One message with a packet per quote, each in its mode."""
    packets = [packet(quote, mode) for quote, mode in quotes]
    return struct.pack(">H", len(packets)) + b"".join(struct.pack(">H", len(each)) + each for each in packets)


def packet(quote: Quote, mode: str) -> bytes:
    token = quote.instrument.token
    divisor = _DIVISORS.get(token & 0xFF, 100)

    def paise(price: Decimal) -> int:
        return min(int(price * divisor), _MOST)

    head = struct.pack(">II", token, paise(quote.last))
    if mode == "ltp":
        return head
    opening, high, low, close = (paise(price) for price in (quote.open, quote.high, quote.low, quote.close))
    at = int(quote.at.timestamp())
    if quote.instrument.is_index:
        body = head + struct.pack(">IIIII", high, low, opening, close, max(paise(quote.last) - close, 0))
        return body if mode == "quote" else body + struct.pack(">I", at)
    levels = depth(quote)
    waiting = [sum(level["quantity"] for level in levels[side]) for side in ("buy", "sell")]
    body = head + struct.pack(
        ">9I", quote.last_quantity, paise(quote.average), min(quote.volume, _MOST), *waiting, opening, high, low, close
    )
    if mode == "quote":
        return body
    body += struct.pack(">5I", at, 0, 0, 0, at)
    for side in ("buy", "sell"):
        for level in levels[side]:
            body += struct.pack(">IIHH", level["quantity"], round(level["price"] * divisor), level["orders"], 0)
    return body
