"""`sma-cross`: long while the fast simple moving average lies above the slow one.

Enters long when the fast average of closes crosses above the slow one, sells the same quantity when it crosses below.
It trades crossings only: where the averages stand when the warm-up ends opens nothing, and equal averages are no
crossing. It holds at most one entry and never sells short of its own accord.

It takes its orders as filled. An entry that the desk denied is still followed by its exit.
"""

from collections.abc import Sequence
from typing import Any, ClassVar, Protocol, Self

from pydantic import Field, model_validator

from alphapanda.domain.instrument import Instrument
from alphapanda.domain.vocabulary import Side
from alphapanda.feed.bars import Bar, BarSeconds
from alphapanda.live.quotes import Tick
from alphapanda.strategies.contract import Intent, Strategy, StrategyParams, Warmup, whole_lots
from alphapanda.strategies.indicators import MovingAverage


class SmaCrossParams(StrategyParams):
    fast: int = Field(default=6, ge=1, le=10_000, description="Window of the fast average, in bars (or ticks).")
    slow: int = Field(default=20, ge=2, le=10_000, description="Window of the slow average; the warm-up too.")
    quantity: int = Field(default=10, ge=1, description="Shares per entry, rounded up to whole lots.")
    bar_seconds: BarSeconds | None = Field(default=3, description="Bar length; None: every tick counts as a bar.")

    @model_validator(mode="after")
    def _fast_is_faster(self) -> Self:
        if self.fast >= self.slow:
            raise ValueError(f"fast: {self.fast} must be smaller than slow ({self.slow})")
        return self


class _Average(Protocol):
    def __init__(self, window: int) -> None: ...
    def push(self, price: float) -> None: ...
    def compare(self, other: Any) -> int: ...
    @property
    def ready(self) -> bool: ...
    @property
    def value(self) -> float | None: ...


class SmaCross(Strategy[SmaCrossParams]):
    """Long while the fast simple moving average lies above the slow one."""

    name = "sma-cross"
    version = "1"
    Params = SmaCrossParams
    label: ClassVar[str] = "SMA"
    Average: ClassVar[type[_Average]] = MovingAverage

    def __init__(self, params: SmaCrossParams, instrument: Instrument) -> None:
        super().__init__(params, instrument)
        self._fast = self.Average(params.fast)
        self._slow = self.Average(params.slow)
        self._quantity = whole_lots(params.quantity, instrument)
        self._by_tick = params.bar_seconds is None
        self._above: bool | None = None
        self._long = False

    @property
    def bar_seconds(self) -> int | None:
        return self.params.bar_seconds

    @property
    def warmup(self) -> Warmup:
        return Warmup(ticks=self.params.slow) if self._by_tick else Warmup(bars=self.params.slow)

    def on_tick(self, tick: Tick) -> Sequence[Intent]:
        return self._observe(tick.last_price) if self._by_tick else ()

    def on_bar(self, bar: Bar) -> Sequence[Intent]:
        return self._observe(bar.close)

    def _observe(self, price: float) -> Sequence[Intent]:
        self._fast.push(price)
        self._slow.push(price)
        if not self._slow.ready:
            return ()
        position = self._fast.compare(self._slow)
        if position == 0:
            return ()
        above, before = position > 0, self._above
        self._above = above
        if before is None or above is before or above is self._long:
            return ()
        self._long = above
        side, relation = (Side.BUY, "above") if above else (Side.SELL, "below")
        fast, slow = f"{self.label}({self.params.fast})", f"{self.label}({self.params.slow})"
        reason = f"{fast} {self._fast.value:.2f} crossed {relation} {slow}"
        return [Intent(side=side, quantity=self._quantity, reason=f"{reason} {self._slow.value:.2f}")]
