"""Incremental indicators: `push` a value, read `value`, which is None until `ready`. All can be kept in a snapshot."""

from alphapanda.strategies.indicators.session import SessionVwap, indian_day, second_of_day
from alphapanda.strategies.indicators.smoothed import (
    AverageTrueRange,
    ExponentialAverage,
    RelativeStrength,
    WilderAverage,
)
from alphapanda.strategies.indicators.windows import (
    PRICE_SCALE,
    BollingerBands,
    MovingAverage,
    RollingDeviation,
    RollingExtreme,
)

__all__ = [
    "PRICE_SCALE",
    "AverageTrueRange",
    "BollingerBands",
    "ExponentialAverage",
    "MovingAverage",
    "RelativeStrength",
    "RollingDeviation",
    "RollingExtreme",
    "SessionVwap",
    "WilderAverage",
    "indian_day",
    "second_of_day",
]
