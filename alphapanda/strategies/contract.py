"""What a strategy is: a pure class that is told what happened and answers with what it wants traded.

A strategy has no I/O, no clock, no randomness and no state outside its instance, so the same input always gives the
same intents: in two feed workers at once, in a replay, in a backtest. Each instance trades one instrument, which
keeps one symbol's trouble from another; one that weighs instruments against each other (a pair) is given several.
Whoever runs it makes the instances, builds the bars and names the signals.
"""

from abc import ABC
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar, Generic, TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict

from alphapanda.domain.ids import Broker
from alphapanda.domain.instrument import Instrument, InstrumentType
from alphapanda.domain.vocabulary import OrderType, Product, Side, Validity, Variety
from alphapanda.feed.bars import Bar
from alphapanda.live.quotes import Tick
from alphapanda.strategies.errors import StateUnfit, StrategyError
from alphapanda.strategies.state import Kept

__all__ = ["Fill", "Intent", "StateUnfit", "Strategy", "StrategyError", "StrategyParams", "Warmup", "whole_lots"]

STATE_FORMAT = 1


class StrategyParams(BaseModel):
    """Base of a strategy's declared parameters: frozen, validated, nothing unknown, units in the names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Fill(msgspec.Struct, frozen=True, gc=False):
    """What was traded of an order of this strategy: `instrument` is its key, `price` exact rupees per share.

    `at` is the broker's time of the trade in epoch seconds. `broker` tells apart the fills of a strategy that trades
    on several; None where there is but one account (a backtest).
    """

    instrument: str
    side: Side
    quantity: int
    price: Decimal
    at: float
    broker: Broker | None = None


@dataclass(frozen=True, slots=True)
class Warmup:
    """How much of the past a strategy must have seen before it can trade: completed bars of its length, and ticks."""

    bars: int = 0
    ticks: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What a strategy wants traded; `reason` is the sentence a person reads beside the order.

    `instrument` is the key of one of the strategy's instruments, None its only (or first) one. `quantity` counts
    shares or contracts, prices are exact rupees (`alphapanda.live.quotes.exact` makes one of a tick's float). The
    rules of `OrderTerms` apply; a breach counts as an error of the strategy.
    """

    side: Side
    quantity: int
    reason: str
    order_type: OrderType = OrderType.MARKET
    product: Product = Product.MIS
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    validity: Validity = Validity.DAY
    validity_minutes: int | None = None
    variety: Variety = Variety.REGULAR
    iceberg_legs: int | None = None
    instrument: str | None = None


P = TypeVar("P", bound=StrategyParams)


class Strategy(Kept, ABC, Generic[P]):
    """Base of every strategy. A subclass declares `name`, `version`, `Params` and overrides the handlers it needs.

    `version` changes with the behaviour; it is recorded with each signal. `on_tick` and `on_bar` are called in the
    order of the exchange's time; where a tick completes a bar, the bar comes first. `on_fill` comes when the broker
    has answered, at any point between them. Anything raised is counted against this instance alone.
    """

    not_kept = frozenset({"params", "instrument", "instruments"})

    name: ClassVar[str]
    version: ClassVar[str]
    Params: ClassVar[type[StrategyParams]]

    def __init__(self, params: P, *instruments: Instrument) -> None:
        """`instruments`: one, unless `instruments_for` names several; then these, in its order."""
        self.params = params
        self.instruments = instruments
        self.instrument = instruments[0]

    @property
    def bar_seconds(self) -> int | None:
        """The length of the bars `on_bar` wants, read once after construction; None: no bars."""
        return None

    @property
    def warmup(self) -> Warmup:
        """What must have been seen before the first intent; who runs the strategy may feed it from the past."""
        return Warmup()

    @classmethod
    def trades(cls, instrument: Instrument) -> bool:
        """Whether an instance is wanted for this instrument; an index has a price but cannot be traded."""
        return instrument.instrument_type is not InstrumentType.INDEX

    @classmethod
    def instruments_for(cls, params: P) -> tuple[str, ...] | None:
        """The keys (`NSE:INFY`) of the instruments that one instance needs together.

        None, the default, is an instance of its own for each instrument that `trades`.
        """
        return None

    def on_tick(self, tick: Tick) -> Sequence[Intent]:
        return ()

    def on_bar(self, bar: Bar) -> Sequence[Intent]:
        """A completed bar of `bar_seconds`; never one that is still forming."""
        return ()

    def on_fill(self, fill: Fill) -> Sequence[Intent]:
        """A trade of an order of this instance; an order may come in several."""
        return ()

    def snapshot(self) -> dict[str, Any]:
        """All it holds, JSON-ready, with what it must match to be taken back. Raises StrategyError naming a value
        that cannot be kept."""
        return {**_identity(self), "state": self.kept()}

    def restore(self, snapshot: Mapping[str, Any]) -> None:
        """Go on from a snapshot of the same strategy, version, parameters and instruments.

        Raises StateUnfit naming what differs; nothing is changed then.
        """
        for name, ours in _identity(self).items():
            if snapshot.get(name) != ours:
                raise StateUnfit(
                    f"strategy {self.name}, {name}: the snapshot is of {snapshot.get(name)!r}, not {ours!r}"
                )
        self.take(snapshot.get("state", {}))


def _identity(of: Strategy[Any]) -> dict[str, Any]:
    """What a snapshot must have in common with whoever takes it."""
    return {
        "format": STATE_FORMAT,
        "strategy": of.name,
        "version": of.version,
        "parameters": of.params.model_dump(mode="json"),
        "instruments": [instrument.key for instrument in of.instruments],
    }


def whole_lots(quantity: int, instrument: Instrument) -> int:
    """`quantity` rounded up to whole lots, so one setting serves shares and contracts alike."""
    return -(-quantity // instrument.lot_size) * instrument.lot_size
