"""Bars built from ticks by the exchange's clock, never by ours, so the same ticks always give the same bars."""

from typing import Annotated

import msgspec
from pydantic import AfterValidator

from alphapanda.live.quotes import Tick

_DAY_S = 86_400
_GRID_ORIGIN = 13_500
"""09:15 IST in seconds of the UTC day: an hourly bar starts when the session does, as Indian charts draw it."""


def check_interval(seconds: int) -> int:
    """`seconds` itself. Raises ValueError unless whole bars fill a day, without which bars would differ by day."""
    if seconds < 1 or _DAY_S % seconds:
        raise ValueError(f"{seconds} must be a number of seconds that divides a day (1, 5, 60, 300, 3600, ...)")
    return seconds


BarSeconds = Annotated[int, AfterValidator(check_interval)]


class Bar(msgspec.Struct, frozen=True, gc=False):
    """A completed bar: `start <= t < start + interval`, seconds since the epoch; prices in rupees.

    `volume` is None where any tick's was unknown. `gap` counts the empty intervals right before this bar; no bar is
    made up for them.
    """

    instrument: str
    start: int
    interval: int
    open: float
    high: float
    low: float
    close: float
    volume: int | None
    ticks: int
    gap: int

    @property
    def end(self) -> int:
        return self.start + self.interval


class BarBuilder:
    """Builds one instrument's bars; a bar is complete when the first tick beyond it comes.

    The first bar is kept only when a tick stands exactly at its start: a builder begun mid-way saw part of it, and
    would give another bar than a builder that ran before. `late` counts ticks from before the forming bar; they are
    left out, since the bar they belong to has been acted on.
    """

    __slots__ = (
        "_close", "_end", "_gap", "_high", "_low", "_open", "_start", "_ticks", "_volume", "_whole",
        "instrument", "interval", "late",
    )  # fmt: skip

    def __init__(self, instrument: str, interval: int) -> None:
        self.instrument = instrument
        self.interval = check_interval(interval)
        self.late = 0
        self._ticks = 0  # 0: nothing seen yet
        self._start = self._end = 0
        self._gap = 0
        self._whole = False
        self._open = self._high = self._low = self._close = 0.0
        self._volume: int | None = None

    def add(self, tick: Tick) -> Bar | None:
        """Take the next tick; the bar it completes, if any. The tick itself belongs to the bar after."""
        at, price = tick.exchange_time, tick.last_price
        if at >= self._end or not self._ticks:
            completed = self._completed() if self._whole else None
            self._begin(at, price, tick.volume)
            return completed
        if at < self._start:
            self.late += 1
            return None
        if price > self._high:
            self._high = price
        elif price < self._low:
            self._low = price
        self._close = price
        self._ticks += 1
        if self._volume is not None:
            self._volume = None if tick.volume is None else self._volume + tick.volume
        return None

    def _begin(self, at: float, price: float, volume: int | None) -> None:
        start = int((at - _GRID_ORIGIN) // self.interval) * self.interval + _GRID_ORIGIN
        self._whole = bool(self._ticks) or at == start
        self._gap = (start - self._end) // self.interval if self._ticks else 0
        self._start, self._end = start, start + self.interval
        self._open = self._high = self._low = self._close = price
        self._volume = volume
        self._ticks = 1

    def _completed(self) -> Bar:
        return Bar(
            self.instrument, self._start, self.interval, self._open, self._high, self._low, self._close,
            self._volume, self._ticks, self._gap,
        )  # fmt: skip
