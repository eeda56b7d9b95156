"""A deployment: a strategy with its parameters and its bounds, under the id its signals carry."""

from dataclasses import dataclass
from datetime import time
from typing import Any

from alphapanda.domain.calendar import IST
from alphapanda.domain.ids import Broker, StrategyId
from alphapanda.strategies.contract import Strategy, StrategyParams

AnyStrategy = Strategy[Any]

_DAY_S = 86_400
_IST_S = int(IST.utcoffset(None).total_seconds())


@dataclass(frozen=True, slots=True)
class Schedule:
    """The hours of every day, Indian time, in which a strategy is asked: `begins <= t < ends`.

    Outside of them it is shown nothing but its fills, so its averages see these hours alone, and what it holds at
    `ends` is left to the broker's square-off.
    """

    begins: time
    ends: time

    def covers(self, at: float) -> bool:
        """Whether the moment (epoch seconds) lies within."""
        second = (at + _IST_S) % _DAY_S
        return _seconds(self.begins) <= second < _seconds(self.ends)


def _seconds(clock: time) -> int:
    return clock.hour * 3600 + clock.minute * 60 + clock.second


@dataclass(frozen=True, slots=True)
class Limits:
    """A fuse in front of the desk's risk rules: an instance that would pass a limit is suspended, not trimmed.

    `max_quantity` is per signal; `max_signals_per_day` per deployment and Indian day, over all its instruments.
    """

    max_quantity: int | None = None
    max_signals_per_day: int | None = None


@dataclass(frozen=True, slots=True)
class Deployment:
    """What is to run. `brokers` None: those of the feed. `instruments` None: whatever the feed quotes and `trades`.

    One instance is made per instrument, or one in all where the strategy names several that belong together.
    """

    strategy: type[AnyStrategy]
    params: StrategyParams
    strategy_id: StrategyId
    brokers: tuple[Broker, ...] | None = None
    instruments: tuple[str, ...] | None = None
    schedule: Schedule | None = None
    limits: Limits = Limits()

    @property
    def together(self) -> tuple[str, ...] | None:
        """The instruments of the one instance there is; None: an instance per instrument."""
        return self.strategy.instruments_for(self.params)

    @property
    def needs(self) -> tuple[str, ...] | None:
        """The instruments it must have quotes of; None: every one there is."""
        return self.together or self.instruments
