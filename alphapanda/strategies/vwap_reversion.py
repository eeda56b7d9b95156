"""`vwap-reversion`: buys far below the day's volume-weighted average price, and sells when the price is back there.

Entry: a close more than `width` standard deviations below the session's VWAP, the deviation being that of the last
`window` distances from it, all of this day. Exit: a close at or above the VWAP, or the day's end is near.

Bars without volume (an index, a feed of prices alone) have no VWAP, and without one it trades nothing. A feed that
starts during the day has the VWAP of what it saw. It has no stop, and takes its orders as filled.
"""

from collections.abc import Sequence

from pydantic import Field

from alphapanda.domain.instrument import Instrument
from alphapanda.feed.bars import Bar
from alphapanda.strategies.contract import Intent, Warmup
from alphapanda.strategies.indicators import RollingDeviation, SessionVwap
from alphapanda.strategies.intraday import IntradayParams, LongOnly


class VwapReversionParams(IntradayParams):
    window: int = Field(default=30, ge=2, le=10_000, description="Bars whose distances from the VWAP are measured.")
    width: float = Field(default=2.0, gt=0, le=10, description="Standard deviations below the VWAP at which it buys.")


class VwapReversion(LongOnly[VwapReversionParams]):
    """Buys far below the session's VWAP, sells at it."""

    name = "vwap-reversion"
    version = "1"
    Params = VwapReversionParams

    def __init__(self, params: VwapReversionParams, instrument: Instrument) -> None:
        super().__init__(params, instrument)
        self._vwap = SessionVwap()
        self._distances = RollingDeviation(params.window)

    @property
    def warmup(self) -> Warmup:
        return Warmup(bars=self.params.window)

    def begin_day(self) -> None:
        super().begin_day()
        self._distances = RollingDeviation(self.params.window)

    def observe(self, bar: Bar) -> None:
        self._vwap.push((bar.high + bar.low + bar.close) / 3, bar.volume, bar.start)
        if self._vwap.value is not None:
            self._distances.push(bar.close - self._vwap.value)

    def decide(self, bar: Bar) -> Sequence[Intent]:
        vwap, deviation = self._vwap.value, self._distances.deviation
        if vwap is None or deviation is None:
            return ()
        if self._long:
            return self.close(f"{bar.close:.2f} is back at the VWAP {vwap:.2f}") if bar.close >= vwap else ()
        floor = vwap - self.params.width * deviation
        return self.buy(f"{bar.close:.2f} is below {floor:.2f}, VWAP {vwap:.2f}") if bar.close < floor else ()
