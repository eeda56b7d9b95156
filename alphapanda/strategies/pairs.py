"""`pairs`: trades the spread of two instruments back to its mean, long one and short the other.

The spread is the close of `first` less `ratio` times that of `second`, over bars that both have. Entry: it lies more
than `enter_z` deviations from its mean over `window` bars: the cheap leg is bought and the dear one sold. Exit: it is
within `exit_z` of the mean, or beyond `stop_z` (after which it waits for the spread to come back), or the day's end
is near. Both legs are intraday, and one is sold short.

`ratio` is given, not estimated; whether the two belong together is for who deploys it to know. The legs are two
orders: one may fill and the other not. It takes its orders as filled.
"""

from collections.abc import Sequence
from typing import Self

from pydantic import Field, model_validator

from alphapanda.domain.instrument import Instrument
from alphapanda.domain.vocabulary import Side
from alphapanda.feed.bars import Bar
from alphapanda.strategies.contract import Intent, Warmup, whole_lots
from alphapanda.strategies.indicators import RollingDeviation
from alphapanda.strategies.intraday import Intraday, IntradayParams

_KEY = r"^[A-Z]{3}:\S.*$"


class PairsParams(IntradayParams):
    first: str = Field(default="NSE:HDFCBANK", pattern=_KEY, description="Instrument whose quantity is given.")
    second: str = Field(default="NSE:ICICIBANK", pattern=_KEY, description="Instrument it is traded against.")
    ratio: float = Field(default=1.0, gt=0, le=1000, description="Shares of `second` per share of `first`.")
    window: int = Field(default=60, ge=2, le=10_000, description="Bars over which the spread's mean is taken.")
    enter_z: float = Field(default=2.0, gt=0, le=10, description="Deviations from the mean at which it enters.")
    exit_z: float = Field(default=0.5, ge=0, le=10, description="Deviations within which it leaves.")
    stop_z: float = Field(default=4.0, gt=0, le=100, description="Deviations beyond which it gives up.")

    @model_validator(mode="after")
    def _levels_are_in_order(self) -> Self:
        if self.first == self.second:
            raise ValueError(f"second: must be another instrument than first ({self.first})")
        if not self.exit_z < self.enter_z < self.stop_z:
            raise ValueError("enter_z: must lie between exit_z and stop_z")
        return self


class Pairs(Intraday[PairsParams]):
    """Trades the spread of two instruments back to its mean."""

    name = "pairs"
    version = "1"
    Params = PairsParams

    def __init__(self, params: PairsParams, first: Instrument, second: Instrument) -> None:
        super().__init__(params, first, second)
        self._other_quantity = whole_lots(max(1, round(self._quantity * params.ratio)), second)
        self._spread = RollingDeviation(params.window)
        self._closes: dict[str, float] = {}
        self._start: int | None = None  # of the bars in `_closes`
        self._matched = False  # both legs' bars of that start are there
        self._held: Side | None = None  # of the first leg
        self._stopped = False

    @classmethod
    def instruments_for(cls, params: PairsParams) -> tuple[str, ...] | None:
        return (params.first, params.second)

    @property
    def warmup(self) -> Warmup:
        return Warmup(bars=self.params.window)

    def begin_day(self) -> None:
        self._held = None
        self._stopped = False

    def observe(self, bar: Bar) -> None:
        self._matched = False
        if self._start is None or bar.start > self._start:
            self._start = bar.start
            self._closes = {}
        if bar.start < self._start:
            return  # the other leg is further on: a spread of two moments is none
        self._closes[bar.instrument] = bar.close
        if len(self._closes) == len(self.instruments):
            self._matched = True
            self._spread.push(self._closes[self.params.first] - self.params.ratio * self._closes[self.params.second])

    def decide(self, bar: Bar) -> Sequence[Intent]:
        z, params = self._spread.zscore, self.params
        if not self._matched or z is None:
            return ()
        distance = abs(z)
        if self._held is not None:
            if distance > params.stop_z:
                self._stopped = True
                return self.close(f"the spread is {z:+.2f} deviations out, beyond {params.stop_z:g}")
            # Through the mean counts as back at it.
            back = distance <= params.exit_z or (z > 0) is (self._held is Side.BUY)
            return self.close(f"the spread is back at {z:+.2f} deviations") if back else ()
        if self._stopped:
            self._stopped = distance > params.exit_z
        elif params.enter_z < distance <= params.stop_z:
            self._held = Side.SELL if z > 0 else Side.BUY
            return self._legs(self._held, f"the spread is {z:+.2f} deviations from its mean")
        return ()

    def close(self, reason: str) -> Sequence[Intent]:
        if self._held is None:
            return ()
        held, self._held = self._held, None
        return self._legs(held.opposite, reason)

    def _legs(self, side: Side, reason: str) -> Sequence[Intent]:
        return [
            Intent(side=side, quantity=self._quantity, reason=reason, instrument=self.params.first),
            Intent(side=side.opposite, quantity=self._other_quantity, reason=reason, instrument=self.params.second),
        ]
