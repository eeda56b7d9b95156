"""What the rules look at: the candidate order, the book of its portfolio under lock, the limits, the quote."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from pydantic import BaseModel, ConfigDict

from alphapanda.domain.money import Price
from alphapanda.domain.signal import Signal
from alphapanda.domain.vocabulary import SessionState, Side, TradingSwitch


@dataclass(frozen=True, slots=True)
class QuoteView:
    """The last price of the instrument and when it reached us. `price` is None when no quote is known."""

    price: Price | None
    received_at: datetime | None

    def is_fresh(self, now: datetime, max_age: timedelta) -> bool:
        return self.price is not None and self.received_at is not None and now - self.received_at <= max_age


@dataclass(frozen=True, slots=True)
class Book:
    """One instrument at one broker, read under the portfolio's lock, with the broker's day and state.

    `position` is the net quantity of the signal's product over all strategies; `reserved_*` are quantities promised
    to orders that are not done; `day_result` is the day's realised profit less charges (plus the open positions' result
    once `marked`), in rupees; `recent_twins` counts orders with the same intent inside the duplicate window.
    """

    session: SessionState
    switch: TradingSwitch
    position: int = 0
    position_all_products: int = 0
    reserved_buys: int = 0
    reserved_sells: int = 0
    reserved_exits: int = 0
    day_result: Decimal = Decimal(0)
    recent_twins: int = 0

    def marked(self, unrealised: Decimal) -> "Book":
        """The same book with the open positions' result in the day's."""
        return replace(self, day_result=self.day_result + unrealised)

    def is_exit(self, side: Side, quantity: int) -> bool:
        """Whether the order only reduces the position, given the exits already on their way."""
        held = self.position if side is Side.SELL else -self.position
        return held > 0 and quantity <= held - self.reserved_exits

    def exposure_after(self, side: Side, quantity: int) -> int:
        """The largest position the order could lead to: itself and everything reserved on its side filled."""
        if side is Side.BUY:
            return self.position_all_products + self.reserved_buys + quantity
        return -(self.position_all_products - self.reserved_sells - quantity)


class Limits(BaseModel):
    """Limits of one broker; money in rupees. None means no such limit."""

    model_config = ConfigDict(frozen=True)

    max_order_quantity: int
    max_order_value: Decimal
    max_position_quantity: int
    max_position_value: Decimal
    max_daily_loss: Decimal
    price_collar_percent: Decimal
    quote_max_age_s: float
    signal_max_age_s: float
    duplicate_window_s: float
    approval_value: Decimal | None
    max_dump_age_days: int | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """The order under examination. `reference` values it: its limit, else its trigger, else the quote; None unknown."""

    signal: Signal
    quote: QuoteView
    is_exit: bool
    now: datetime
    approved: bool = False

    @property
    def reference(self) -> Price | None:
        exact = self.signal.price or self.signal.trigger_price
        return Price(exact) if exact is not None else self.quote.price

    @property
    def value(self) -> Decimal | None:
        return None if self.reference is None else self.reference * self.signal.quantity
