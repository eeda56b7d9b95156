"""Indicators over the last `window` values: constant work per value, and a result that depends on the window alone.

That last part is what lets two feed workers, started hours apart, agree to the last bit.
"""

import math
from collections import deque

from alphapanda.strategies.state import Kept

PRICE_SCALE = 10_000
"""Prices are summed as integers of 1/10,000 rupee, the finest grid any segment quotes in: no drift, exact ties."""


def check_window(window: int) -> int:
    """`window` itself. Raises ValueError below 1."""
    if window < 1:
        raise ValueError(f"window: {window} must be at least 1")
    return window


class MovingAverage(Kept):
    """Simple moving average of the last `window` prices (rupees)."""

    __slots__ = ("_sum", "_values", "window")

    def __init__(self, window: int) -> None:
        self.window = check_window(window)
        self._values: deque[int] = deque()
        self._sum = 0

    def push(self, price: float) -> None:
        scaled = round(price * PRICE_SCALE)
        values = self._values
        values.append(scaled)
        self._sum += scaled
        if len(values) > self.window:
            self._sum -= values.popleft()

    @property
    def ready(self) -> bool:
        return len(self._values) == self.window

    @property
    def value(self) -> float | None:
        """The mean in rupees; None until `window` prices have come."""
        return self._sum / (self.window * PRICE_SCALE) if self.ready else None

    def compare(self, other: "MovingAverage") -> int:
        """-1, 0 or 1 as this mean lies below, at or above the other's; exact. Both must be ready."""
        ours, theirs = self._sum * other.window, other._sum * self.window
        return (ours > theirs) - (ours < theirs)


class RollingDeviation(Kept):
    """Mean and standard deviation (of the population, as chart programs have it) of the last `window` values.

    `scale`: values are summed exactly, as integers of 1/`scale`; the default suits prices and differences of prices.
    """

    __slots__ = ("_squares", "_sum", "_values", "scale", "window")

    def __init__(self, window: int, *, scale: int = PRICE_SCALE) -> None:
        self.window = check_window(window)
        self.scale = scale
        self._values: deque[int] = deque()
        self._sum = 0
        self._squares = 0

    def push(self, value: float) -> None:
        scaled = round(value * self.scale)
        self._values.append(scaled)
        self._sum += scaled
        self._squares += scaled * scaled
        if len(self._values) > self.window:
            oldest = self._values.popleft()
            self._sum -= oldest
            self._squares -= oldest * oldest

    @property
    def ready(self) -> bool:
        return len(self._values) == self.window

    @property
    def mean(self) -> float | None:
        return self._sum / (self.window * self.scale) if self.ready else None

    @property
    def deviation(self) -> float | None:
        """In the unit of the values; exactly 0 where all are equal; None until `window` values have come."""
        if not self.ready:
            return None
        # n^2 times the variance is an integer: nothing cancels, however large the values and small their spread.
        return math.sqrt(self.window * self._squares - self._sum * self._sum) / (self.window * self.scale)

    @property
    def zscore(self) -> float | None:
        """How many deviations the last value lies above the mean; None until ready, and where there is no spread."""
        mean, deviation = self.mean, self.deviation
        if mean is None or not deviation:
            return None
        return (self._values[-1] / self.scale - mean) / deviation


class BollingerBands(RollingDeviation):
    """A band of `width` standard deviations on either side of the moving average of the last `window` prices."""

    __slots__ = ("width",)

    def __init__(self, window: int, width: float = 2.0) -> None:
        super().__init__(window)
        self.width = width

    @property
    def upper(self) -> float | None:
        return self._band(self.width)

    @property
    def lower(self) -> float | None:
        return self._band(-self.width)

    def _band(self, width: float) -> float | None:
        mean, deviation = self.mean, self.deviation
        return None if mean is None or deviation is None else mean + width * deviation


class RollingExtreme(Kept):
    """Highest (or lowest) of the last `window` values, by a deque of candidates that only ever get worse."""

    __slots__ = ("_candidates", "_count", "_sign", "window")

    def __init__(self, window: int, *, sign: int) -> None:
        self.window = check_window(window)
        self._sign = sign
        self._count = 0
        self._candidates: deque[tuple[int, float]] = deque()

    @classmethod
    def highest(cls, window: int) -> "RollingExtreme":
        return cls(window, sign=1)

    @classmethod
    def lowest(cls, window: int) -> "RollingExtreme":
        return cls(window, sign=-1)

    def push(self, value: float) -> None:
        candidates, signed = self._candidates, value * self._sign
        while candidates and candidates[-1][1] <= signed:
            candidates.pop()
        candidates.append((self._count, signed))
        self._count += 1
        if candidates[0][0] < self._count - self.window:
            candidates.popleft()

    @property
    def ready(self) -> bool:
        return self._count >= self.window

    @property
    def value(self) -> float | None:
        """The extreme; None until `window` values have come."""
        return self._candidates[0][1] * self._sign if self.ready else None
