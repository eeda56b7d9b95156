"""`opening-range`: buys when the price breaks out of the top of the day's opening range.

The range is the high and low of the first `range_minutes` after `opens`. Entry: the first tick above its high, before
`last_entry`, once a day. Exit: a tick below its low, or the day's end is near.

A feed that started after the open has not seen the whole range, and trades nothing on that day. It takes its orders
as filled.
"""

from collections.abc import Sequence
from datetime import time
from typing import Self

from pydantic import Field, model_validator

from alphapanda.domain.instrument import Instrument
from alphapanda.feed.bars import Bar
from alphapanda.live.quotes import Tick
from alphapanda.strategies.contract import Intent, Warmup
from alphapanda.strategies.indicators import indian_day, second_of_day
from alphapanda.strategies.intraday import IntradayParams, LongOnly, seconds_of


class OpeningRangeParams(IntradayParams):
    opens: time = Field(default=time(9, 15), description="Indian time at which the instrument's trading opens.")
    range_minutes: int = Field(default=15, ge=1, le=180, description="Length of the opening range.")
    last_entry: time = Field(default=time(14, 30), description="Indian time from which it enters no more.")

    @model_validator(mode="after")
    def _whole_bars_in_order(self) -> Self:
        if self.range_minutes * 60 % self.bar_seconds:
            raise ValueError(f"bar_seconds: {self.bar_seconds} must divide range_minutes ({self.range_minutes})")
        if not seconds_of(self.opens) + self.range_minutes * 60 <= seconds_of(self.last_entry):
            raise ValueError("last_entry: must not lie before the end of the opening range")
        if not self.last_entry <= self.flat_by:
            raise ValueError("last_entry: must not lie after flat_by")
        return self


class OpeningRange(LongOnly[OpeningRangeParams]):
    """Buys a break above the opening range, stops below it."""

    name = "opening-range"
    version = "1"
    Params = OpeningRangeParams

    def __init__(self, params: OpeningRangeParams, instrument: Instrument) -> None:
        super().__init__(params, instrument)
        self._opens = seconds_of(params.opens)
        self._range_ends = self._opens + params.range_minutes * 60
        self._last_entry = seconds_of(params.last_entry)
        self._high: float | None = None
        self._low: float | None = None
        self._seen_whole = False
        self._entered = False

    @property
    def warmup(self) -> Warmup:
        """Today's bars from the open on."""
        return Warmup(bars=self.params.range_minutes * 60 // self.params.bar_seconds)

    def begin_day(self) -> None:
        super().begin_day()
        self._high = self._low = None
        self._seen_whole = self._day is not None  # it ran on an earlier day, so it was there at the open
        self._entered = False

    def observe(self, bar: Bar) -> None:
        start = second_of_day(bar.start)
        if start <= self._opens:
            self._seen_whole = True
        if self._opens <= start < self._range_ends:
            self._high = bar.high if self._high is None else max(self._high, bar.high)
            self._low = bar.low if self._low is None else min(self._low, bar.low)

    def decide(self, bar: Bar) -> Sequence[Intent]:
        return ()

    def on_tick(self, tick: Tick) -> Sequence[Intent]:
        price, high, low = tick.last_price, self._high, self._low
        if high is None or low is None or indian_day(tick.exchange_time) != self._day:
            return ()
        if self._long:
            return self.close(f"{price:.2f} fell below the opening range's low {low:.2f}") if price < low else ()
        second = second_of_day(tick.exchange_time)
        if price <= high or self._entered or not self._seen_whole or not self._range_ends <= second < self._last_entry:
            return ()
        self._entered = True
        return self.buy(f"{price:.2f} broke the opening range's high {high:.2f}")
