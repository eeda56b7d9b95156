"""The records of the simulated book. All money is exact; floats appear only in the replies."""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

ZERO = Decimal(0)
_SHOWN = Decimal("0.0001")


class Status(StrEnum):
    """Kite's order statuses, in the order in which an order meets them."""

    RECEIVED = "PUT ORDER REQ RECEIVED"
    AMO_RECEIVED = "AMO REQ RECEIVED"
    VALIDATION_PENDING = "VALIDATION PENDING"
    OPEN_PENDING = "OPEN PENDING"
    TRIGGER_PENDING = "TRIGGER PENDING"
    OPEN = "OPEN"
    MODIFY_VALIDATION_PENDING = "MODIFY VALIDATION PENDING"
    MODIFY_PENDING = "MODIFY PENDING"
    MODIFIED = "MODIFIED"
    CANCEL_PENDING = "CANCEL PENDING"
    COMPLETE = "COMPLETE"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"

    @property
    def is_terminal(self) -> bool:
        return self in (Status.COMPLETE, Status.CANCELLED, Status.REJECTED)

    @property
    def is_at_exchange(self) -> bool:
        return self in (Status.OPEN, Status.TRIGGER_PENDING)


class SimOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the order book.

    `placement` names the request that made it: all slices and legs of one request share it. What begins with
    `is_` or ends with `_fill` is the simulator's own knowledge and is never shown to Kite's clients.
    """

    order_id: str
    placement: str
    placed_by: str
    variety: str
    exchange: str
    tradingsymbol: str
    instrument_token: int
    transaction_type: str
    order_type: str
    product: str
    validity: str
    quantity: int
    status: Status
    order_timestamp: datetime
    guid: str
    price: Decimal = ZERO
    trigger_price: Decimal = ZERO
    filled_value: Decimal = ZERO  # rupees per unit times quantity, over all fills
    filled_quantity: int = 0
    cancelled_quantity: int = 0
    disclosed_quantity: int = 0
    validity_ttl: int = 0
    protection: Decimal = ZERO  # percent; of MARKET and SL-M orders, resolved from -1
    exchange_order_id: str | None = None
    exchange_timestamp: datetime | None = None
    exchange_update_timestamp: datetime | None = None
    status_message: str | None = None
    status_message_raw: str | None = None
    tag: str | None = None
    tags: tuple[str, ...] = ()
    meta: dict[str, Any] = msgspec.field(default_factory=dict)
    modifications: int = 0
    is_of_app: bool = True  # False: placed in the broker's own app, or by its risk management
    is_triggered: bool = False
    is_stuck: bool = False
    is_hidden: bool = False
    visible_from: datetime | None = None
    most_fill: int | None = None  # a fault: no more than this fills until the order is released
    late_fill: float | None = None  # a fault: so many seconds after it was cancelled it fills
    reject_after: float | None = None  # a fault: so many seconds after it opened the exchange rejects it

    @property
    def key(self) -> str:
        return f"{self.exchange}:{self.tradingsymbol}"

    @property
    def is_buy(self) -> bool:
        return self.transaction_type == "BUY"

    @property
    def average_price(self) -> Decimal:
        """To four decimals, as Kite shows it."""
        if not self.filled_quantity:
            return ZERO
        return (self.filled_value / self.filled_quantity).quantize(_SHOWN)

    @property
    def remaining(self) -> int:
        return self.quantity - self.filled_quantity - self.cancelled_quantity

    @property
    def can_fill(self) -> int:
        """What may still fill now: less than what remains where a fault holds the rest back."""
        if self.most_fill is None:
            return self.remaining
        return max(0, min(self.remaining, self.most_fill - self.filled_quantity))

    def is_visible(self, now: datetime) -> bool:
        return not self.is_hidden and (self.visible_from is None or self.visible_from <= now)


class SimTrade(msgspec.Struct, frozen=True, kw_only=True):
    """One execution, `price` in rupees per share or unit."""

    trade_id: str
    order_id: str
    exchange_order_id: str
    exchange: str
    tradingsymbol: str
    instrument_token: int
    product: str
    transaction_type: str
    quantity: int
    price: Decimal
    placed_at: datetime
    traded_at: datetime

    @property
    def is_buy(self) -> bool:
        return self.transaction_type == "BUY"


class JobKind(StrEnum):
    PLACE = "place"
    REJECT = "reject"
    LATE_FILL = "late-fill"
    EXPIRE = "expire"
    RELEASE = "release"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happens by itself later. `doc` are the terms of an order still to be placed."""

    job_id: int
    due: datetime
    kind: JobKind
    order_id: str = ""
    doc: dict[str, str] = msgspec.field(default_factory=dict)


class Fate(msgspec.Struct, frozen=True, kw_only=True):
    """What faults have in store for an order once it is accepted. Times in seconds."""

    lag_s: float = 0.0
    stuck: bool = False
    stuck_s: float | None = None
    hidden: bool = False
    hidden_s: float | None = None
    reject_after_s: float | None = None
    fill_ratio: float | None = None
    late_fill_s: float | None = None
    failing_slices: frozenset[int] = frozenset()
