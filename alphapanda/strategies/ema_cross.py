"""`ema-cross`: `sma-cross` with exponential averages, which turn sooner and never quite forget.

Since an exponential average depends on where it began, two feeds started at different times may see a crossing one
bar apart until both have run for several times the slow window; a restart that restores the snapshot does not.
"""

from alphapanda.strategies.indicators import ExponentialAverage
from alphapanda.strategies.sma_cross import SmaCross


class EmaCross(SmaCross):
    """Long while the fast exponential moving average lies above the slow one."""

    name = "ema-cross"
    version = "1"
    label = "EMA"
    Average = ExponentialAverage
