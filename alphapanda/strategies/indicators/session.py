"""Indicators that begin anew with every Indian trading day."""

from alphapanda.domain.calendar import IST
from alphapanda.strategies.indicators.windows import PRICE_SCALE
from alphapanda.strategies.state import Kept

_DAY_S = 86_400
_IST_S = int(IST.utcoffset(None).total_seconds())


def indian_day(at: float) -> int:
    """The number of the Indian day that the moment (epoch seconds) lies in; days differ where it does."""
    return int((at + _IST_S) // _DAY_S)


def second_of_day(at: float) -> float:
    """Seconds since midnight in India."""
    return (at + _IST_S) % _DAY_S


class SessionVwap(Kept):
    """Volume-weighted average price of the day so far, summed exactly.

    A volume that is unknown (None) or 0 weighs nothing: without any volume there is no average, rather than a wrong
    one. A worker that starts during a day averages what it saw of it; `since` tells from when.
    """

    __slots__ = ("_day", "_value", "_volume", "since")

    def __init__(self) -> None:
        self._day: int | None = None
        self._value = 0
        self._volume = 0
        self.since: float | None = None

    def push(self, price: float, volume: int | None, at: float) -> None:
        """`at`: the exchange's time in epoch seconds."""
        day = indian_day(at)
        if day != self._day:
            self._day, self._value, self._volume, self.since = day, 0, 0, at
        if volume:
            self._value += round(price * PRICE_SCALE) * volume
            self._volume += volume

    @property
    def ready(self) -> bool:
        return self._volume > 0

    @property
    def value(self) -> float | None:
        """In rupees; None until a volume has come on this day."""
        return self._value / (self._volume * PRICE_SCALE) if self._volume else None
