"""The paper exchange's rows in memory; field names are the column names of `tables`."""

from datetime import datetime
from decimal import Decimal

import msgspec

from alphapanda.domain.execution import BookStatus
from alphapanda.domain.instrument import instrument_key
from alphapanda.domain.money import ZERO
from alphapanda.domain.vocabulary import Exchange, OrderType, Product, Side, Validity


class PaperOrder(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One order in the exchange's book.

    `status` is TRIGGER_PENDING for an untriggered stop, else OPEN while resting. `margin` is what the order still
    blocks in rupees, None while no price was known to compute it from. Only ticks received after `active_from` may
    match the resting order: earlier ones were seen when it arrived.
    """

    broker_order_id: str
    tag: str | None
    exchange: Exchange
    tradingsymbol: str
    side: Side
    product: Product
    order_type: OrderType
    validity: Validity
    quantity: int
    price: Decimal | None
    trigger_price: Decimal | None
    status: BookStatus
    margin: Decimal | None
    placed_at: datetime
    active_from: datetime
    updated_at: datetime
    expires_at: datetime
    filled_quantity: int = 0
    turnover: Decimal = ZERO
    message: str = ""
    hidden_until: datetime | None = None

    @property
    def key(self) -> str:
        return instrument_key(self.exchange, self.tradingsymbol)

    @property
    def remaining(self) -> int:
        return self.quantity - self.filled_quantity

    @property
    def is_resting(self) -> bool:
        return self.status is BookStatus.OPEN or self.status is BookStatus.TRIGGER_PENDING


class PaperTrade(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One execution. `tick` names the tick whose volume it took, so that no other path takes that volume again."""

    trade_id: str
    broker_order_id: str
    exchange: Exchange
    tradingsymbol: str
    side: Side
    product: Product
    quantity: int
    price: Decimal
    charges: Decimal
    traded_at: datetime
    tick: str

    @property
    def key(self) -> str:
        return instrument_key(self.exchange, self.tradingsymbol)


class PaperPosition(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Net quantity of one instrument and product (negative when short).

    `cost` is the signed rupees paid for the open quantity, `margin` the rupees it blocks.
    """

    exchange: Exchange
    tradingsymbol: str
    product: Product
    quantity: int = 0
    cost: Decimal = ZERO
    realised: Decimal = ZERO
    charges: Decimal = ZERO
    margin: Decimal = ZERO


PositionKey = tuple[Exchange, str, Product]
