"""Reading what a client sent for an order, and refusing what Kite refuses at its door."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

import msgspec

from alphapanda.kitesim.errors import bad_input
from alphapanda.kitesim.instruments import Instruments, SimInstrument
from alphapanda.kitesim.orders import ZERO

VARIETIES = ("regular", "amo", "iceberg", "co", "auction")
PLAYED_VARIETIES = ("regular", "amo", "iceberg")
_PRODUCTS = ("CNC", "NRML", "MIS", "MTF")
_ORDER_TYPES = ("MARKET", "LIMIT", "SL", "SL-M")
_VALIDITIES = ("DAY", "IOC", "TTL")
_MAX_TAG = 20
_LEGS = range(2, 51)
_TTL_MINUTES = range(1, 121)
NO_PROTECTION = "Market orders without market protection are not allowed via API. Please set `market_protection`."


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """A placement that passed the door. `protection` in percent, -1 for automatic."""

    variety: str
    exchange: str
    tradingsymbol: str
    transaction_type: str
    order_type: str
    product: str
    validity: str
    quantity: int
    price: Decimal
    trigger_price: Decimal
    protection: Decimal
    disclosed_quantity: int
    validity_ttl: int
    iceberg_legs: int
    iceberg_quantity: int
    autoslice: bool
    tag: str | None

    @property
    def is_buy(self) -> bool:
        return self.transaction_type == "BUY"


def read_terms(variety: str, params: Mapping[str, str], instruments: Instruments) -> tuple[Terms, SimInstrument]:
    """Raises KiteError (InputException) naming what is wrong."""
    _one_of("variety", variety, PLAYED_VARIETIES)
    exchange = _required(params, "exchange")
    symbol = _required(params, "tradingsymbol")
    instrument = instruments.learn(exchange, symbol)
    if instrument is None or instrument.is_index:
        raise bad_input("The instrument you are placing an order for has either expired or does not exist.")
    terms = Terms(
        variety=variety,
        exchange=exchange,
        tradingsymbol=symbol,
        transaction_type=_one_of("transaction_type", _required(params, "transaction_type"), ("BUY", "SELL")),
        order_type=_one_of("order_type", _required(params, "order_type"), _ORDER_TYPES),
        product=_one_of("product", _required(params, "product"), _PRODUCTS),
        validity=_one_of("validity", params.get("validity") or "DAY", _VALIDITIES),
        quantity=whole(params, "quantity", required=True),
        price=decimal(params, "price"),
        trigger_price=decimal(params, "trigger_price"),
        protection=decimal(params, "market_protection"),
        disclosed_quantity=whole(params, "disclosed_quantity"),
        validity_ttl=whole(params, "validity_ttl"),
        iceberg_legs=whole(params, "iceberg_legs"),
        iceberg_quantity=whole(params, "iceberg_quantity"),
        autoslice=params.get("autoslice", "false").lower() == "true",
        tag=params.get("tag") or None,
    )
    if terms.tag is not None and len(terms.tag) > _MAX_TAG:
        raise bad_input(f"Invalid `tag`. It can have a maximum of {_MAX_TAG} characters.")
    _check_variety(terms)
    check_prices(instrument, terms.order_type, terms.price, terms.trigger_price, terms.protection, is_buy=terms.is_buy)
    check_quantity(instrument, terms.quantity)
    if terms.product in ("CNC", "MTF") and not instrument.is_share:
        raise bad_input(f"{terms.product} is not allowed for {instrument.key}: use NRML or MIS.")
    return terms, instrument


def check_prices(
    instrument: SimInstrument, order_type: str, price: Decimal, trigger: Decimal, protection: Decimal, *, is_buy: bool
) -> None:
    """Also for an order about to be modified."""
    if order_type in ("MARKET", "SL-M") and not (protection == -1 or 0 < protection <= 100):
        raise bad_input(NO_PROTECTION)
    if order_type in ("LIMIT", "SL") and price <= 0:
        raise bad_input("Missing or empty field `price`")
    if order_type in ("SL", "SL-M") and trigger <= 0:
        raise bad_input("Missing or empty field `trigger_price`")
    for value in (price, trigger):
        if value % instrument.tick_size:
            raise bad_input(
                f"Tick size for this script is {instrument.tick_size}. Kindly enter price in the multiple of tick size."
            )
    if order_type == "SL" and (trigger > price if is_buy else trigger < price):
        bound = "lower" if is_buy else "higher"
        raise bad_input(f"Trigger price for a stoploss order should be {bound} than the limit price.")


def check_quantity(instrument: SimInstrument, quantity: int) -> None:
    if quantity <= 0:
        raise bad_input("Invalid `quantity`.")
    if quantity % instrument.lot_size:
        raise bad_input(f"Quantity should be in multiples of {instrument.lot_size}.")


def _check_variety(terms: Terms) -> None:
    if terms.validity == "TTL" and terms.validity_ttl not in _TTL_MINUTES:
        raise bad_input("Invalid `validity_ttl`: minutes between 1 and 120.")
    if terms.variety == "amo" and terms.validity != "DAY":
        raise bad_input("After market orders are valid for the DAY only.")
    if terms.variety != "iceberg":
        return
    if terms.validity == "IOC":
        raise bad_input("Iceberg orders are valid for the DAY or a TTL.")
    if terms.iceberg_legs not in _LEGS or terms.iceberg_quantity <= 0:
        raise bad_input("Invalid `iceberg_legs` or `iceberg_quantity`: 2 to 50 legs.")
    if terms.iceberg_quantity * terms.iceberg_legs < terms.quantity:
        raise bad_input("`iceberg_quantity` of all `iceberg_legs` is less than `quantity`.")


def _required(params: Mapping[str, str], name: str) -> str:
    value = params.get(name, "")
    if not value:
        raise bad_input(f"Missing or empty field `{name}`")
    return value


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise bad_input(f"Invalid `{name}`.")
    return value


def whole(params: Mapping[str, str], name: str, *, required: bool = False) -> int:
    text = _required(params, name) if required else params.get(name) or "0"
    try:
        return int(text)
    except ValueError as error:
        raise bad_input(f"Invalid `{name}`.") from error


def decimal(params: Mapping[str, str], name: str) -> Decimal:
    text = params.get(name)
    if not text:
        return ZERO
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise bad_input(f"Invalid `{name}`.") from error
    if not value.is_finite():
        raise bad_input(f"Invalid `{name}`.")
    return value
