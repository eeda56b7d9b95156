"""Indicators that never forget: each value is smoothed into what was before.

The weight of the past fades but does not end, so where one began matters: two that began at different times agree
better with every value and never to the last bit. A restarted feed that must agree restores the snapshot.
The starts follow TA-Lib: the plain mean of the first `window` values.
"""

from alphapanda.strategies.indicators.windows import check_window
from alphapanda.strategies.state import Kept


class _Smoothed(Kept):
    """The mean of the first `window` values, then `weight` of each new value against the rest."""

    __slots__ = ("_count", "_value", "_weight", "window")

    def __init__(self, window: int, weight: float) -> None:
        self.window = check_window(window)
        self._weight = weight
        self._count = 0
        self._value = 0.0

    def push(self, value: float) -> None:
        if self._count < self.window:
            self._count += 1
            self._value += value
            if self._count == self.window:
                self._value /= self.window
            return
        self._value += self._weight * (value - self._value)

    @property
    def ready(self) -> bool:
        return self._count == self.window

    @property
    def value(self) -> float | None:
        """None until `window` values have come."""
        return self._value if self.ready else None


class ExponentialAverage(_Smoothed):
    """EMA: each new price weighs 2 / (window + 1)."""

    __slots__ = ()

    def __init__(self, window: int) -> None:
        super().__init__(window, 2.0 / (check_window(window) + 1))

    def compare(self, other: "ExponentialAverage") -> int:
        """-1, 0 or 1 as this average lies below, at or above the other. Both must be ready."""
        ours, theirs = self.value or 0.0, other.value or 0.0
        return (ours > theirs) - (ours < theirs)


class WilderAverage(_Smoothed):
    """Wilder's smoothing: each new value weighs 1 / window."""

    __slots__ = ()

    def __init__(self, window: int) -> None:
        super().__init__(window, 1.0 / check_window(window))


class RelativeStrength(Kept):
    """Wilder's RSI of prices, 0 to 100; 50 where no price has moved at all."""

    __slots__ = ("_gains", "_last", "_losses")

    def __init__(self, window: int = 14) -> None:
        self._gains = WilderAverage(window)
        self._losses = WilderAverage(window)
        self._last: float | None = None

    def push(self, price: float) -> None:
        last, self._last = self._last, price
        if last is not None:
            change = price - last
            self._gains.push(max(change, 0.0))
            self._losses.push(max(-change, 0.0))

    @property
    def ready(self) -> bool:
        return self._gains.ready

    @property
    def value(self) -> float | None:
        """None until `window` + 1 prices have come."""
        gain, loss = self._gains.value, self._losses.value
        if gain is None or loss is None:
            return None
        moved = gain + loss
        return 100.0 * gain / moved if moved else 50.0


class AverageTrueRange(Kept):
    """Wilder's ATR in rupees: how far a bar reaches, the jump from the close before included."""

    __slots__ = ("_average", "_close")

    def __init__(self, window: int = 14) -> None:
        self._average = WilderAverage(window)
        self._close: float | None = None

    def push(self, high: float, low: float, close: float) -> None:
        before, self._close = self._close, close
        if before is not None:
            self._average.push(max(high, before) - min(low, before))

    @property
    def ready(self) -> bool:
        return self._average.ready

    @property
    def value(self) -> float | None:
        """None until `window` + 1 bars have come: the first has no close before it."""
        return self._average.value
