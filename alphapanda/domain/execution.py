"""What crosses the border to a broker: the request that goes out and the reports that come back.

Every model here is normalised: an adapter translates its broker's words, nothing above it knows them.
"""

from decimal import Decimal
from enum import StrEnum

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from alphapanda.domain.ids import Broker, OrderId, Tag
from alphapanda.domain.signal import OrderTerms
from alphapanda.domain.vocabulary import Exchange, OrderType, Product, SessionState, Side, Validity, Variety


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class OrderRequest(_Frozen):
    """One placement. `tag` was stored before this exists, so an answer that is lost can still be found."""

    broker: Broker
    order_id: OrderId
    tag: Tag
    terms: OrderTerms
    is_exit: bool = False
    """Whether it only reduces what is held: exits keep a share of the account's call limits for themselves."""
    send_before: AwareDatetime | None = None
    """Waiting for its turn must not carry it past this moment; None: no deadline."""


MAX_MODIFICATIONS = 25
"""Of one order at the broker: Kite refuses the 26th (KITE.md, Limits). No broker we know takes fewer."""


class OrderChange(_Frozen):
    """A modification: None leaves the field as it is. `quantity` is the order's new total, filled part included."""

    quantity: int | None = Field(default=None, ge=1)
    price: Decimal | None = Field(default=None, gt=0)
    trigger_price: Decimal | None = Field(default=None, gt=0)
    order_type: OrderType | None = None
    validity: Validity | None = None

    @property
    def is_empty(self) -> bool:
        return all(value is None for value in self.model_dump().values())


class BookStatus(StrEnum):
    """The broker's word on an order, reduced to what decides our state. An unknown status is PENDING: not ended."""

    PENDING = "PENDING"
    OPEN = "OPEN"
    TRIGGER_PENDING = "TRIGGER_PENDING"
    COMPLETE = "COMPLETE"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"

    @property
    def is_final(self) -> bool:
        return self in (
            BookStatus.COMPLETE, BookStatus.CANCELLED, BookStatus.REJECTED, BookStatus.EXPIRED
        )  # fmt: skip


class TradeReport(_Frozen):
    """One execution. `trade_id` is unique per broker; `price` in rupees."""

    trade_id: str
    broker_order_id: str
    exchange: Exchange
    tradingsymbol: str
    side: Side
    product: Product
    quantity: int = Field(ge=1)
    price: Decimal = Field(gt=0)
    traded_at: AwareDatetime


class OrderReport(_Frozen):
    """One row of the broker's order book, with its trades where the book was asked for them.

    `trades` is None when they were not read: unknown, not "none". A broker may split an order into rows of its own
    (slices above the freeze quantity, legs of an iceberg), which are summed here: `whole` is False where more rows
    than are shown may exist, so that `quantity` must not shrink the order, and `unplaced_quantity` is the part
    that the broker refused while it placed the rest.
    """

    broker_order_id: str
    tag: str | None
    status: BookStatus
    exchange: Exchange
    tradingsymbol: str
    side: Side
    product: Product
    order_type: OrderType
    quantity: int
    filled_quantity: int
    average_price: Decimal | None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    message: str = ""
    variety: Variety = Variety.REGULAR
    whole: bool = True
    unplaced_quantity: int = 0
    placed_at: AwareDatetime | None = None
    updated_at: AwareDatetime
    trades: tuple[TradeReport, ...] | None = None


class Placement(_Frozen):
    """An accepted placement. `report` is the book's row where the broker gives it in the same breath (paper does)."""

    broker_order_id: str
    report: OrderReport | None = None


class PositionReport(_Frozen):
    """Net position by the broker's count; `quantity` is negative when short."""

    exchange: Exchange
    tradingsymbol: str
    product: Product
    quantity: int
    average_price: Decimal | None


class HoldingReport(_Frozen):
    """Shares in the demat account, sold ones not deducted before they are delivered."""

    exchange: Exchange
    tradingsymbol: str
    quantity: int
    average_price: Decimal | None


class MarginReport(_Frozen):
    """Rupees: `cash` as settled by the broker, `available` for new orders, `used` by positions and orders."""

    cash: Decimal
    available: Decimal
    used: Decimal


class SessionReport(_Frozen):
    broker: Broker
    state: SessionState
    since: AwareDatetime | None = None
    detail: str = ""
