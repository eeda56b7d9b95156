"""What a storm consists of: orders as a person or strategy would send them, and what happens around them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

from alphapanda.domain.ids import SignalId
from alphapanda.domain.vocabulary import OrderType, Product, Side, Validity, Variety
from alphapanda.kitesim.faults import Fault

OPTION = "the option"
"""In place of a tradingsymbol: the simulator's call option, whose name depends on the month."""


@dataclass(frozen=True, slots=True)
class Arming:
    """One `POST /sim/faults`; an order's tag is added where it belongs to an order.

    `replacement`: it is meant for the order at the broker that takes the place of the first.
    """

    fault: Fault
    options: Mapping[str, Any] = field(default_factory=dict)
    replacement: bool = False


class Kind(StrEnum):
    """What an order does in the market."""

    MARKET = "market"
    AT_MARKET = "limit at the market"
    RESTING = "limit far below or above"
    CANCELLED = "limit far away, cancelled"
    MODIFIED = "limit far away, modified"
    REPLACED = "limit far away, modified more often than the broker allows"
    STOP = "stop with a limit"
    STOP_MARKET = "stop"
    AT_ONCE = "immediate or cancel"
    MINUTES = "valid for a minute"
    ICEBERG = "iceberg"
    SLICED = "above the freeze quantity"


class Then(StrEnum):
    """What its sender does once it is at the broker."""

    NOTHING = "nothing"
    CANCEL = "cancel"
    MODIFY = "modify"
    MODIFY_TOO_OFTEN = "modify too often"


@dataclass(frozen=True, slots=True)
class PlannedOrder:
    """One signal. Prices are percents away from the last price; in the order's own direction nothing is implied.

    `posts`: how often the same signal is handed in, at once.
    """

    signal_id: SignalId
    kind: Kind
    tradingsymbol: str
    side: Side
    quantity: int
    order_type: OrderType
    product: Product
    posts: int = 1
    price_percent: Decimal | None = None
    trigger_percent: Decimal | None = None
    validity: Validity = Validity.DAY
    validity_minutes: int | None = None
    variety: Variety = Variety.REGULAR
    iceberg_legs: int | None = None
    then: Then = Then.NOTHING
    faults: tuple[Arming, ...] = ()


@dataclass(frozen=True, slots=True)
class Disturb:
    """A fault that belongs to no order: of reads, updates, postbacks, connecting tickers."""

    arming: Arming


@dataclass(frozen=True, slots=True)
class Sockets:
    """`drop` cuts the tickers' lines, `mute` leaves them open and silent."""

    action: str


@dataclass(frozen=True, slots=True)
class TradeByHand:
    """The account's holder trades in the broker's own app."""

    tradingsymbol: str
    side: Side
    quantity: int


@dataclass(frozen=True, slots=True)
class SquareOff:
    """The broker's risk management closes what is held in one share."""

    tradingsymbol: str


@dataclass(frozen=True, slots=True)
class KillWorker:
    """SIGKILL to the broker's worker, while the broker holds the requests of the orders `on_the_wire`."""

    on_the_wire: tuple[SignalId, ...]


@dataclass(frozen=True, slots=True)
class SessionEnds:
    """The access token dies: by itself, or (`at_order`) at the call that places this order, which comes before."""

    at_order: SignalId | None = None


@dataclass(frozen=True, slots=True)
class LogIn:
    """A person logs in through the browser."""


Step = PlannedOrder | Disturb | Sockets | TradeByHand | SquareOff | KillWorker | SessionEnds | LogIn


@dataclass(frozen=True, slots=True)
class Storm:
    """`steps` happen in this order. Orders between SessionEnds and LogIn meet a dead session."""

    seed: int
    steps: tuple[Step, ...]

    @property
    def orders(self) -> tuple[PlannedOrder, ...]:
        return tuple(step for step in self.steps if isinstance(step, PlannedOrder))

    @property
    def kills(self) -> int:
        return sum(isinstance(step, KillWorker) for step in self.steps)

    @property
    def faults(self) -> frozenset[Fault]:
        """Every fault that this storm arms."""
        armed = {each.fault for order in self.orders for each in order.faults}
        return frozenset(armed | {step.arming.fault for step in self.steps if isinstance(step, Disturb)})
