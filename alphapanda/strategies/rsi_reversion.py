"""`rsi-reversion`: buys what has fallen much, and sells it when it has recovered.

Entry: the RSI of closes falls below `oversold`. Exit: it rises above `recovered`, or the day's end is near. One entry
at a time, and none again until the RSI has been above `oversold` in between.

It has no stop: a share that keeps falling is held until `flat_by`. It takes its orders as filled.
"""

from collections.abc import Sequence
from typing import Self

from pydantic import Field, model_validator

from alphapanda.domain.instrument import Instrument
from alphapanda.feed.bars import Bar
from alphapanda.strategies.contract import Intent, Warmup
from alphapanda.strategies.indicators import RelativeStrength
from alphapanda.strategies.intraday import IntradayParams, LongOnly


class RsiReversionParams(IntradayParams):
    window: int = Field(default=14, ge=2, le=1_000, description="Window of Wilder's RSI, in bars.")
    oversold: float = Field(default=30.0, gt=0, lt=100, description="RSI below which it buys.")
    recovered: float = Field(default=55.0, gt=0, lt=100, description="RSI above which it sells.")

    @model_validator(mode="after")
    def _recovery_is_higher(self) -> Self:
        if self.recovered <= self.oversold:
            raise ValueError(f"recovered: {self.recovered:g} must be above oversold ({self.oversold:g})")
        return self


class RsiReversion(LongOnly[RsiReversionParams]):
    """Buys below an RSI, sells above a higher one."""

    name = "rsi-reversion"
    version = "1"
    Params = RsiReversionParams

    def __init__(self, params: RsiReversionParams, instrument: Instrument) -> None:
        super().__init__(params, instrument)
        self._rsi = RelativeStrength(params.window)
        self._armed = False  # the RSI has been above `oversold` since the last entry

    @property
    def warmup(self) -> Warmup:
        return Warmup(bars=self.params.window + 1)

    def observe(self, bar: Bar) -> None:
        self._rsi.push(bar.close)

    def decide(self, bar: Bar) -> Sequence[Intent]:
        rsi, params = self._rsi.value, self.params
        if rsi is None:
            return ()
        if self._long:
            above = rsi > params.recovered
            return self.close(f"RSI({params.window}) {rsi:.1f} rose above {params.recovered:g}") if above else ()
        if rsi >= params.oversold:
            self._armed = True
        elif self._armed:
            self._armed = False
            return self.buy(f"RSI({params.window}) {rsi:.1f} fell below {params.oversold:g}")
        return ()
