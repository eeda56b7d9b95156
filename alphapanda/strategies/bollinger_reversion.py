"""`bollinger-reversion`: buys below the lower Bollinger band, and sells when the price is back at the average.

Entry: a close below the lower band. Exit: a close at or above the moving average, or the day's end is near. One entry
at a time.

It has no stop: in a trend the bands widen and follow the price down, and the entry is held until `flat_by`. It takes
its orders as filled.
"""

from collections.abc import Sequence

from pydantic import Field

from alphapanda.domain.instrument import Instrument
from alphapanda.feed.bars import Bar
from alphapanda.strategies.contract import Intent, Warmup
from alphapanda.strategies.indicators import BollingerBands
from alphapanda.strategies.intraday import IntradayParams, LongOnly


class BollingerReversionParams(IntradayParams):
    window: int = Field(default=20, ge=2, le=10_000, description="Bars of the average and the deviation; the warm-up.")
    width: float = Field(default=2.0, gt=0, le=10, description="Standard deviations from the average to a band.")


class BollingerReversion(LongOnly[BollingerReversionParams]):
    """Buys below the lower band, sells at the average."""

    name = "bollinger-reversion"
    version = "1"
    Params = BollingerReversionParams

    def __init__(self, params: BollingerReversionParams, instrument: Instrument) -> None:
        super().__init__(params, instrument)
        self._bands = BollingerBands(params.window, params.width)

    @property
    def warmup(self) -> Warmup:
        return Warmup(bars=self.params.window)

    def observe(self, bar: Bar) -> None:
        self._bands.push(bar.close)

    def decide(self, bar: Bar) -> Sequence[Intent]:
        mean, lower = self._bands.mean, self._bands.lower
        if mean is None or lower is None:
            return ()
        if self._long:
            return self.close(f"{bar.close:.2f} is back at the average {mean:.2f}") if bar.close >= mean else ()
        return self.buy(f"{bar.close:.2f} is below the lower band {lower:.2f}") if bar.close < lower else ()
