"""Kite's rate limits, counted over every rolling window: the strictest reading of "10 a second".

Peaks count every call that arrived, also those refused, since they tell how the client behaves.
"""

from collections import deque

from alphapanda.kitesim.calls import ORDER_CALLS, Call
from alphapanda.kitesim.errors import KiteError
from alphapanda.kitesim.settings import SimSettings

_SECOND, _MINUTE, _DAY = 1.0, 60.0, 86_400.0


class Window:
    """Moments of the last `seconds`. `peak` is the most that any such span has held."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._moments: deque[float] = deque()
        self.peak = 0

    def count(self, now: float) -> int:
        while self._moments and self._moments[0] <= now - self._seconds:
            self._moments.popleft()
        return len(self._moments)

    def add(self, now: float) -> None:
        self._moments.append(now)
        self.peak = max(self.peak, self.count(now))


class RateLimits:
    """`now` is monotonic seconds."""

    def __init__(self, settings: SimSettings) -> None:
        self._settings = settings
        self.orders_second, self.orders_minute = Window(_SECOND), Window(_MINUTE)
        self.reads_second, self.quotes_second = Window(_SECOND), Window(_SECOND)
        self._admitted = {
            "orders": (
                (Window(_SECOND), settings.order_calls_per_second),
                (Window(_MINUTE), settings.order_calls_per_minute),
                (Window(_DAY), settings.order_calls_per_day),
            ),
            "reads": ((Window(_SECOND), settings.reads_per_second),),
            "quotes": ((Window(_SECOND), settings.quotes_per_second),),
        }

    def admit(self, call: Call, now: float) -> None:
        """Raises KiteError (429) beyond a limit; a call refused here does not use up the limit."""
        if call in ORDER_CALLS:
            self.orders_second.add(now)
            self.orders_minute.add(now)
            windows = self._admitted["orders"]
        elif call is Call.QUOTE:
            self.quotes_second.add(now)
            windows = self._admitted["quotes"]
        else:
            self.reads_second.add(now)
            windows = self._admitted["reads"]
        if self._settings.enforce_limits and any(window.count(now) >= most for window, most in windows):
            raise KiteError("NetworkException", "Too many requests", 429)
        for window, _ in windows:
            window.add(now)
