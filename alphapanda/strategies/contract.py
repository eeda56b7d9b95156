"""What a strategy is: a pure class that is told what happened and answers with what it wants traded.

A strategy has no I/O, no clock, no randomness and no state outside its instance, so the same input always gives the
same intents: in two feed workers at once, in a replay, in a backtest. Each instance trades one instrument, which
keeps one symbol's trouble from another; whoever runs it makes the instances, builds the bars and names the signals.
"""

from abc import ABC
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from alphapanda.domain.errors import AlphaPandaError
from alphapanda.domain.instrument import Instrument, InstrumentType
from alphapanda.domain.vocabulary import OrderType, Product, Side, Validity, Variety
from alphapanda.feed.bars import Bar
from alphapanda.live.quotes import Tick


class StrategyError(AlphaPandaError):
    """A strategy cannot be run as configured; the message names the strategy, the field and the rule."""

    code = "STRATEGY_INVALID"
    default_next_action = "Correct the named strategy's parameters."


class StrategyParams(BaseModel):
    """Base of a strategy's declared parameters: frozen, validated, nothing unknown, units in the names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What a strategy wants traded in its instrument; `reason` is the sentence a person reads beside the order.

    `quantity` counts shares or contracts, prices are exact rupees (`alphapanda.live.quotes.exact` makes one of a
    tick's float). The rules of `OrderTerms` apply; a breach counts as an error of the strategy.
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


P = TypeVar("P", bound=StrategyParams)


class Strategy(ABC, Generic[P]):
    """Base of every strategy. A subclass declares `name`, `version`, `Params` and overrides `on_tick` and/or `on_bar`.

    `version` changes with the behaviour; it is recorded with each signal. Both handlers are called in the order of
    the exchange's time; where a tick completes a bar, the bar comes first. Anything raised is counted against this
    instance alone.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    Params: ClassVar[type[StrategyParams]]

    def __init__(self, params: P, instrument: Instrument) -> None:
        self.params = params
        self.instrument = instrument

    @property
    def bar_seconds(self) -> int | None:
        """The length of the bars `on_bar` wants, read once after construction; None: no bars."""
        return None

    @classmethod
    def trades(cls, instrument: Instrument) -> bool:
        """Whether an instance is wanted for this instrument; an index has a price but cannot be traded."""
        return instrument.instrument_type is not InstrumentType.INDEX

    def on_tick(self, tick: Tick) -> Sequence[Intent]:
        return ()

    def on_bar(self, bar: Bar) -> Sequence[Intent]:
        """A completed bar of `bar_seconds`; never one that is still forming."""
        return ()


def whole_lots(quantity: int, instrument: Instrument) -> int:
    """`quantity` rounded up to whole lots, so one setting serves shares and contracts alike."""
    return -(-quantity // instrument.lot_size) * instrument.lot_size
