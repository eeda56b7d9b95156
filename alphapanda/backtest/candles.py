"""Candles for the charts of a report, gathered while the ticks go by. For looking at only: floats, quarter hours."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from alphapanda.live.quotes import Tick

SECONDS = 900


@dataclass(slots=True)
class Candle:
    """`start` in epoch seconds, prices in rupees."""

    start: float
    open: float
    high: float
    low: float
    close: float


class Candles:
    """`by_instrument` fills up while what `watch` yields is consumed."""

    def __init__(self) -> None:
        self.by_instrument: dict[str, list[Candle]] = {}

    def watch(self, ticks: Iterable[Tick]) -> Iterator[Tick]:
        forming: dict[str, Candle] = {}
        for tick in ticks:
            price = tick.last_price
            candle = forming.get(tick.instrument)
            if candle is None or tick.exchange_time >= candle.start + SECONDS:
                start = tick.exchange_time // SECONDS * SECONDS
                candle = forming[tick.instrument] = Candle(start, price, price, price, price)
                self.by_instrument.setdefault(tick.instrument, []).append(candle)
            elif price > candle.high:
                candle.high = price
            elif price < candle.low:
                candle.low = price
            candle.close = price
            yield tick
