"""`momentum-breakout`: long when a tick breaks the high of the last bars, out when it falls below a trailing low.

Entry: a tick strictly above the highest high of the last `entry_bars` completed bars. Exit: a tick strictly below the
trailing stop, which is the lowest low of the last `exit_bars` completed bars and, while long, only ever rises. The
forming bar is in neither, so a tick is measured against the past alone. It holds at most one entry, never sells
short of its own accord, and after an exit waits for a bar to complete before it enters again.

It takes its orders as filled. An entry that the desk denied is still followed by its exit.
"""

from collections.abc import Sequence

from pydantic import Field

from alphapanda.domain.instrument import Instrument
from alphapanda.domain.vocabulary import Side
from alphapanda.feed.bars import Bar, BarSeconds
from alphapanda.live.quotes import Tick
from alphapanda.strategies.contract import Intent, Strategy, StrategyParams, Warmup, whole_lots
from alphapanda.strategies.indicators import RollingExtreme


class MomentumBreakoutParams(StrategyParams):
    entry_bars: int = Field(default=20, ge=1, le=10_000, description="Bars whose high must break; the warm-up too.")
    exit_bars: int = Field(default=10, ge=1, le=10_000, description="Bars whose low is the trailing stop.")
    quantity: int = Field(default=10, ge=1, description="Shares per entry, rounded up to whole lots.")
    bar_seconds: BarSeconds = Field(default=3, description="Bar length.")


class MomentumBreakout(Strategy[MomentumBreakoutParams]):
    """Long when a tick breaks the high of the last bars, out when it falls below a trailing low."""

    name = "momentum-breakout"
    version = "1"
    Params = MomentumBreakoutParams

    def __init__(self, params: MomentumBreakoutParams, instrument: Instrument) -> None:
        super().__init__(params, instrument)
        self._highs = RollingExtreme.highest(params.entry_bars)
        self._lows = RollingExtreme.lowest(params.exit_bars)
        self._quantity = whole_lots(params.quantity, instrument)
        self._ceiling: float | None = None  # None: no entry (warming up, or just out)
        self._stop: float | None = None  # None: not long

    @property
    def bar_seconds(self) -> int | None:
        return self.params.bar_seconds

    @property
    def warmup(self) -> Warmup:
        return Warmup(bars=max(self.params.entry_bars, self.params.exit_bars))

    def on_bar(self, bar: Bar) -> Sequence[Intent]:
        self._highs.push(bar.high)
        self._lows.push(bar.low)
        if self._lows.ready:
            self._ceiling = self._highs.value
        low = self._lows.value
        if self._stop is not None and low is not None:
            self._stop = max(self._stop, low)
        return ()

    def on_tick(self, tick: Tick) -> Sequence[Intent]:
        price = tick.last_price
        if self._stop is not None:
            return self._exit(price, self._stop) if price < self._stop else ()
        if self._ceiling is not None and price > self._ceiling:
            return self._enter(price, self._ceiling)
        return ()

    def _enter(self, price: float, ceiling: float) -> Sequence[Intent]:
        self._stop = self._lows.value
        reason = f"{price:.2f} broke the {self.params.entry_bars}-bar high {ceiling:.2f}"
        return [Intent(side=Side.BUY, quantity=self._quantity, reason=reason)]

    def _exit(self, price: float, stop: float) -> Sequence[Intent]:
        self._stop = self._ceiling = None
        reason = f"{price:.2f} fell below the trailing low {stop:.2f}"
        return [Intent(side=Side.SELL, quantity=self._quantity, reason=reason)]
