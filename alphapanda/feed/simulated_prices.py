"""Simulated prices: a random path whose value at any instant follows from seed, symbol and that instant alone.

The path is a Brownian motion in log price, built by midpoint displacement: each Indian midnight has an anchor drawn
around the base price, and the instants between are filled in by halving the day, each half's midpoint drawn given its
two ends. A process that starts at noon thus finds the path that one started in the morning walks on.
"""

import hashlib
import math
import struct
from datetime import date, datetime, time
from statistics import NormalDist

from alphapanda.domain.calendar import IST
from alphapanda.feed.simulated_symbols import Profile

_DAY_S = 86_400
_LEVELS = 17  # cells of 0.66 s; between their ends the path is straight
_QUARTER_S = 900
_SESSION_OPENS = 9 * 4 + 1  # in quarter hours of the day: 09:15
_SESSION_QUARTERS = 25

# Measured on minute bars of eight NSE stocks, May to October 2024, as multiples of the session's mean per quarter
# hour from 09:15 to 15:30. Outside the session everything runs at the mean, so one can rehearse at any hour.
# fmt: off
VARIANCE_BY_QUARTER = (
    5.87, 1.58, 1.18, 0.88, 0.85, 0.76, 0.72, 1.00, 0.89, 0.63, 0.55, 0.75, 0.70,
    0.90, 0.62, 0.56, 0.60, 0.60, 0.59, 0.56, 0.60, 0.66, 0.73, 1.20, 1.00,
)
VOLUME_BY_QUARTER = (
    2.09, 1.10, 0.91, 0.76, 0.72, 0.70, 0.66, 0.67, 0.68, 0.62, 0.62, 0.65, 0.62,
    0.67, 0.65, 0.64, 0.66, 0.66, 0.67, 0.78, 0.81, 0.93, 1.18, 3.55, 2.92,
)
# fmt: on

_JUMP_WINDOW_S = 1800
_JUMP_CHANCE = 0.4
_JUMP_SD = 0.004
_JUMP_FADES_S = 2400.0

_NORMAL = NormalDist()
_UNIT = 1.0 / (1 << 64)
_BELOW_ONE = 1 - 1e-16  # the largest numbers of 64 bits round to 1.0, which has no normal quantile


class Dice:
    """Random numbers by name: the same seed, symbol and names always give the same numbers, in any order of asking."""

    def __init__(self, seed: int, symbol: str) -> None:
        self._base = hashlib.blake2b(f"{seed}\x1f{symbol}".encode(), digest_size=32)

    def uniforms(self, *names: int) -> tuple[float, float, float, float]:
        """Four independent numbers in (0, 1)."""
        mixed = self._base.copy()
        mixed.update(struct.pack(f"<{len(names)}q", *names))
        a, b, c, d = struct.unpack("<4Q", mixed.digest())
        return (a + 0.5) * _UNIT, (b + 0.5) * _UNIT, (c + 0.5) * _UNIT, (d + 0.5) * _UNIT

    def normal(self, *names: int) -> float:
        return _NORMAL.inv_cdf(min(self.uniforms(*names)[0], _BELOW_ONE))


_ANCHOR, _MIDPOINT, _JUMP = 1, 2, 3
"""First names of the dice used here; 0 and 10 up belong to the ticks."""


def _session_rates(by_quarter: tuple[float, ...]) -> tuple[float, ...]:
    before = (1.0,) * _SESSION_OPENS
    return before + by_quarter + (1.0,) * (_DAY_S // _QUARTER_S - _SESSION_OPENS - len(by_quarter))


_VARIANCE_RATES = _session_rates(VARIANCE_BY_QUARTER)
_VOLUME_RATES = _session_rates(VOLUME_BY_QUARTER)


def _cumulated(rates: tuple[float, ...]) -> tuple[float, ...]:
    sums = [0.0]
    for rate in rates:
        sums.append(sums[-1] + rate)
    return tuple(sums)


_VARIANCE_BEFORE = _cumulated(_VARIANCE_RATES)


def _clock(second: float) -> float:
    """The variance gathered since midnight at `second` of the day, in quarter hours of the session's mean."""
    quarter = min(int(second // _QUARTER_S), len(_VARIANCE_RATES) - 1)
    return _VARIANCE_BEFORE[quarter] + _VARIANCE_RATES[quarter] * (second / _QUARTER_S - quarter)


def volume_rate(second: float) -> float:
    """How busy the market is at `second` of the Indian day, as a multiple of the session's mean."""
    return _VOLUME_RATES[min(int(second // _QUARTER_S), len(_VOLUME_RATES) - 1)]


class PricePath:
    """The true price of one symbol over time. Forward reading is cheap: halvings above the last cell are kept."""

    def __init__(self, seed: int, symbol: str, profile: Profile) -> None:
        self._dice = Dice(seed, symbol)
        self._base = profile.base_price
        # One session's deviation squared is spread over the session's quarter hours.
        self._variance_per_quarter = profile.session_volatility**2 / _SESSION_QUARTERS
        self._day_deviation = math.sqrt(self._variance_per_quarter * _VARIANCE_BEFORE[-1])
        self._day = -1
        self._day_starts = 0.0
        self._ends = (0.0, 0.0)
        # Per level: the cell it was computed for, and its midpoint's value.
        self._midpoints: list[tuple[int, float]] = [(-1, 0.0)] * _LEVELS
        self._cell = -1
        self._cell_values = (0.0, 0.0)
        self._jump_window = -1
        self._recent_jumps: tuple[tuple[float, float], ...] = ()

    def at(self, when: float) -> float:
        """The price in rupees at `when` (epoch seconds), not yet on the tick grid."""
        if not 0 <= when - self._day_starts < _DAY_S:
            self._enter_day(when)
        second = when - self._day_starts
        position = second / _DAY_S * (1 << _LEVELS)
        cell = int(position)
        if cell != self._cell:
            self._cell_values = self._descend(cell)
            self._cell = cell
        low, high = self._cell_values
        return self._base * math.exp(low + (high - low) * (position - cell) + self._jumps(when))

    def second_of_day(self, when: float) -> float:
        """Seconds since the Indian midnight of the instant last asked for."""
        return when - self._day_starts

    def _enter_day(self, when: float) -> None:
        today = datetime.fromtimestamp(when, IST).date()
        self._day = today.toordinal()
        self._day_starts = _midnight(today)
        self._ends = self._anchor(self._day), self._anchor(self._day + 1)
        self._midpoints = [(-1, 0.0)] * _LEVELS
        self._cell = -1

    def _anchor(self, day: int) -> float:
        return self._day_deviation * self._dice.normal(_ANCHOR, day)

    def _descend(self, cell: int) -> tuple[float, float]:
        """The values at both ends of `cell` of the finest level."""
        low, high = self._ends
        starts, length = 0.0, float(_DAY_S)
        for level in range(_LEVELS):
            parent = cell >> (_LEVELS - level)
            kept, middle = self._midpoints[level]
            if kept != parent:
                middle = self._midpoint(level, parent, starts, length, low, high)
                self._midpoints[level] = (parent, middle)
            length /= 2
            if cell >> (_LEVELS - level - 1) & 1:
                low, starts = middle, starts + length
            else:
                high = middle
        return low, high

    def _midpoint(self, level: int, cell: int, starts: float, length: float, low: float, high: float) -> float:
        """A Brownian bridge's midpoint in the market's own clock, which runs faster where trading is busy."""
        first, middle, last = _clock(starts), _clock(starts + length / 2), _clock(starts + length)
        weight = (middle - first) / (last - first)
        variance = self._variance_per_quarter * (middle - first) * (last - middle) / (last - first)
        drawn = self._dice.normal(_MIDPOINT, self._day, level, cell)
        return low + (high - low) * weight + math.sqrt(variance) * drawn

    def _jumps(self, when: float) -> float:
        """News: now and then the price leaps, and the leap fades over the next forty minutes."""
        window = int(when // _JUMP_WINDOW_S)
        if window != self._jump_window:
            recent = (self._jump(past) for past in (window, window - 1, window - 2))
            self._recent_jumps = tuple(jump for jump in recent if jump is not None)
            self._jump_window = window
        total = 0.0
        for since, size in self._recent_jumps:
            if 0 <= when - since < _JUMP_FADES_S:
                total += size * (1 - (when - since) / _JUMP_FADES_S)
        return total

    def _jump(self, window: int) -> tuple[float, float] | None:
        """When the window's leap happens and how far it goes; None where there is none."""
        happens, where, size, _ = self._dice.uniforms(_JUMP, window)
        if happens >= _JUMP_CHANCE:
            return None
        return (window + where) * _JUMP_WINDOW_S, _JUMP_SD * _NORMAL.inv_cdf(min(size, _BELOW_ONE))


def _midnight(day: date) -> float:
    return datetime.combine(day, time(), IST).timestamp()
