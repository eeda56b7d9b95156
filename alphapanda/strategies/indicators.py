"""Incremental indicators over prices: constant work per value, and a result that depends on the window alone.

That last part is what lets two feed workers, started hours apart, agree to the last bit.
"""

from collections import deque

from alphapanda.strategies.state import Kept

PRICE_SCALE = 10_000
"""Prices are summed as integers of 1/10,000 rupee, the finest grid any segment quotes in: no drift, exact ties."""


class MovingAverage(Kept):
    """Simple moving average of the last `window` prices (rupees)."""

    __slots__ = ("_sum", "_values", "window")

    def __init__(self, window: int) -> None:
        if window < 1:
            raise ValueError(f"window: {window} must be at least 1")
        self.window = window
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


class RollingExtreme(Kept):
    """Highest (or lowest) of the last `window` values, by a deque of candidates that only ever get worse."""

    __slots__ = ("_candidates", "_count", "_sign", "window")

    def __init__(self, window: int, *, sign: int) -> None:
        if window < 1:
            raise ValueError(f"window: {window} must be at least 1")
        self.window = window
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
