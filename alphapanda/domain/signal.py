"""A signal: what a strategy or a person wants traded, before it forks into one order per broker."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, field_validator, model_validator

from alphapanda.domain.ids import (
    BROKER_PATTERN,
    EXTERNAL,
    SIGNAL_ID_PATTERN,
    STRATEGY_ID_PATTERN,
    Broker,
    SignalId,
    StrategyId,
)
from alphapanda.domain.instrument import instrument_key
from alphapanda.domain.money import decimal_of
from alphapanda.domain.vocabulary import Exchange, OrderType, Product, Side, Validity, Variety

MAX_QUANTITY = 10_000_000
"""Above any order an Indian exchange takes; catches a price sent as a quantity."""

MAX_PRICE = Decimal("10000000")


def _exact(value: Any) -> Any:
    return value if value is None else decimal_of(value, "price")


ExactPrice = Annotated[Decimal, Field(gt=0, le=MAX_PRICE, max_digits=14, decimal_places=4)]
BrokerField = Annotated[Broker, Field(pattern=BROKER_PATTERN)]
Symbol = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9 &._-]*$")]


class OrderTerms(BaseModel):
    """What is to be traded and how: shared by the signal, the order and the request to the broker.

    Prices are rupees per share as exact decimals; `quantity` counts shares or contracts, not lots.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    exchange: Exchange
    tradingsymbol: Symbol
    side: Side
    quantity: int = Field(ge=1, le=MAX_QUANTITY, strict=True)
    order_type: OrderType
    product: Product
    price: ExactPrice | None = Field(default=None, description="Limit price; LIMIT and SL only.")
    trigger_price: ExactPrice | None = Field(default=None, description="Trigger; SL and SL-M only.")
    validity: Validity = Validity.DAY
    validity_minutes: int | None = Field(default=None, ge=1, le=375, description="Minutes a TTL order lives; TTL only.")
    variety: Variety = Variety.REGULAR
    iceberg_legs: int | None = Field(default=None, ge=2, le=50, description="Legs of an iceberg; iceberg only.")

    _no_floats = field_validator("price", "trigger_price", mode="before")(_exact)

    @model_validator(mode="after")
    def _terms_agree(self) -> Self:
        rules = (
            ("price", self.order_type.has_limit_price, self.price, self.order_type),
            ("trigger_price", self.order_type.has_trigger, self.trigger_price, self.order_type),
            ("validity_minutes", self.validity is Validity.TTL, self.validity_minutes, self.validity),
            ("iceberg_legs", self.variety is Variety.ICEBERG, self.iceberg_legs, self.variety),
        )
        for field, needed, value, because in rules:
            if needed and value is None:
                raise ValueError(f"{field}: required for {because}")
            if not needed and value is not None:
                raise ValueError(f"{field}: not allowed for {because}; leave it out")
        if self.price is not None and self.trigger_price is not None:
            # A buy stop triggers on the way up, so its limit must not lie below its trigger (and the reverse).
            if self.side is Side.BUY and self.price < self.trigger_price:
                raise ValueError("price: of a BUY SL must be at or above trigger_price")
            if self.side is Side.SELL and self.price > self.trigger_price:
                raise ValueError("price: of a SELL SL must be at or below trigger_price")
        return self

    @property
    def instrument(self) -> str:
        return instrument_key(self.exchange, self.tradingsymbol)

    @property
    def summary(self) -> str:
        """`BUY 10 NSE:INFY @ 1450.00`: the terms on one line."""
        at = "MARKET" if self.order_type is OrderType.MARKET else str(self.price or self.order_type)
        trigger = f" trigger {self.trigger_price}" if self.trigger_price is not None else ""
        variety = "" if self.variety is Variety.REGULAR else f" ({self.variety})"
        return f"{self.side} {self.quantity} {self.instrument} @ {at}{trigger}{variety}"


_TERMS = tuple(OrderTerms.model_fields)


class Signal(OrderTerms):
    """One intent, addressed to one or more brokers.

    `generated_at` is when its cause happened; `expires_at` is when it must have reached the broker, or it expires.
    """

    signal_id: Annotated[SignalId, Field(pattern=SIGNAL_ID_PATTERN)]
    strategy_id: Annotated[StrategyId, Field(pattern=STRATEGY_ID_PATTERN)]
    brokers: tuple[BrokerField, ...] = Field(min_length=1, max_length=16)
    generated_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    wait_for_open: bool = False
    metadata: dict[str, Any] = Field(default_factory=dict)

    @field_validator("strategy_id")
    @classmethod
    def _strategy_is_somebody(cls, strategy_id: StrategyId) -> StrategyId:
        if strategy_id == EXTERNAL:
            raise ValueError(f"strategy_id: {EXTERNAL} is kept for trades that nobody here ordered; use another name")
        return strategy_id

    @field_validator("brokers")
    @classmethod
    def _brokers_differ(cls, brokers: tuple[Broker, ...]) -> tuple[Broker, ...]:
        if len(set(brokers)) != len(brokers):
            raise ValueError("brokers: each broker may be named once")
        return brokers

    @property
    def terms(self) -> OrderTerms:
        # Valid already: a signal is its terms and more.
        return OrderTerms.model_construct(**{name: getattr(self, name) for name in _TERMS})

    def is_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and now >= self.expires_at

    def age(self, now: datetime) -> timedelta:
        return now - self.generated_at
