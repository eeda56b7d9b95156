"""What strategies that end every day flat have in common: the day, its last moment, and one entry at a time."""

from abc import abstractmethod
from collections.abc import Sequence
from datetime import time
from typing import TypeVar

from pydantic import Field

from alphapanda.domain.instrument import Instrument
from alphapanda.domain.vocabulary import Side
from alphapanda.feed.bars import Bar, BarSeconds
from alphapanda.strategies.contract import Intent, Strategy, StrategyParams, whole_lots
from alphapanda.strategies.indicators import indian_day, second_of_day


class IntradayParams(StrategyParams):
    quantity: int = Field(default=10, ge=1, description="Shares per entry, rounded up to whole lots.")
    bar_seconds: BarSeconds = Field(default=60, description="Bar length.")
    flat_by: time = Field(
        default=time(15, 15), description="Indian time from which it closes what it holds and enters nothing."
    )


P = TypeVar("P", bound=IntradayParams)


class Intraday(Strategy[P]):
    """Shows each bar to `observe`; before `flat_by` it then asks `decide`, from then on it closes what is open.

    An entry that is still open when another day begins (the feed was away at `flat_by`) is forgotten: a broker
    squares off what is intraday, and selling it again would open a short.
    """

    def __init__(self, params: P, *instruments: Instrument) -> None:
        super().__init__(params, *instruments)
        self._quantity = whole_lots(params.quantity, instruments[0])
        self._flat_by = seconds_of(params.flat_by)
        self._day: int | None = None

    @property
    def bar_seconds(self) -> int | None:
        return self.params.bar_seconds

    def on_bar(self, bar: Bar) -> Sequence[Intent]:
        day = indian_day(bar.start)
        if self._day is None or day > self._day:  # a leg that trades rarely may still tell of an earlier day
            self.begin_day()
            self._day = day
        self.observe(bar)
        return self.close(f"flat by {self.params.flat_by:%H:%M}") if self.is_over(bar.end) else self.decide(bar)

    def is_over(self, at: float) -> bool:
        """Whether the moment (epoch seconds) is past what this day's trading allows."""
        return indian_day(at) != self._day or second_of_day(at) >= self._flat_by

    @abstractmethod
    def begin_day(self) -> None:
        """Forget what must not outlive a day, the entry above all. Called before the first bar of each."""

    @abstractmethod
    def observe(self, bar: Bar) -> None:
        """Take the bar into the indicators."""

    @abstractmethod
    def decide(self, bar: Bar) -> Sequence[Intent]:
        """What to trade on the bar, while the day lasts."""

    @abstractmethod
    def close(self, reason: str) -> Sequence[Intent]:
        """Leave what is open, if anything is."""


class LongOnly(Intraday[P]):
    """Holds at most one entry, bought; never sells what it has not bought. It takes its orders as filled."""

    def __init__(self, params: P, instrument: Instrument) -> None:
        super().__init__(params, instrument)
        self._long = False

    def begin_day(self) -> None:
        self._long = False

    def buy(self, reason: str) -> Sequence[Intent]:
        self._long = True
        return [Intent(side=Side.BUY, quantity=self._quantity, reason=reason)]

    def close(self, reason: str) -> Sequence[Intent]:
        if not self._long:
            return ()
        self._long = False
        return [Intent(side=Side.SELL, quantity=self._quantity, reason=reason)]


def seconds_of(clock: time) -> int:
    """Seconds since midnight."""
    return clock.hour * 3600 + clock.minute * 60 + clock.second
