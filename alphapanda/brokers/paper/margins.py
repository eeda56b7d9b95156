"""What positions and orders block, in rupees. A simple, fixed model of a broker's margins:

| traded | buying | selling short |
|---|---|---|
| equity CNC, MTF | paid in full | not possible: only what is held |
| equity MIS, futures MIS | value / `intraday_leverage` | value / `intraday_leverage` |
| futures NRML | 20 % of value | 20 % of value |
| options | premium in full | 20 % of strike x quantity; the premium is credited |

Value is at cost (positions) or at the order's price; margins do not follow the market. MTF is treated as CNC: the
broker's loan is not modelled.
"""

from decimal import Decimal

from alphapanda.domain.instrument import Instrument, InstrumentType
from alphapanda.domain.money import ZERO, Money, to_paisa
from alphapanda.domain.vocabulary import Product, Side

DERIVATIVE_FRACTION = Decimal("0.20")
_OPTIONS = (InstrumentType.CALL, InstrumentType.PUT)
_DELIVERY = (Product.CNC, Product.MTF)


def is_delivery(product: Product) -> bool:
    return product in _DELIVERY


def is_paid_in_full(instrument: Instrument, product: Product) -> bool:
    """Whether a trade moves its whole value in cash; otherwise only the realised profit moves."""
    return is_delivery(product) or instrument.instrument_type in _OPTIONS


def blocked_by_position(
    instrument: Instrument, product: Product, quantity: int, cost: Decimal, leverage: Decimal
) -> Money:
    """Rupees blocked by an open position of signed `quantity` and signed `cost`."""
    if instrument.instrument_type in _OPTIONS:
        return to_paisa(_strike(instrument) * -quantity * DERIVATIVE_FRACTION) if quantity < 0 else ZERO
    if is_delivery(product):
        return ZERO
    if product is Product.MIS:
        return to_paisa(abs(cost) / leverage)
    return to_paisa(abs(cost) * DERIVATIVE_FRACTION)


def needed_to_open(
    instrument: Instrument, product: Product, side: Side, quantity: int, price: Decimal, leverage: Decimal
) -> Money:
    """Rupees an order needs for the `quantity` by which it opens (never for what it closes)."""
    value = price * quantity
    if is_delivery(product) or (instrument.instrument_type in _OPTIONS and side is Side.BUY):
        return to_paisa(value)
    return blocked_by_position(instrument, product, side.sign * quantity, side.sign * value, leverage)


def _strike(instrument: Instrument) -> Decimal:
    return instrument.strike if instrument.strike is not None else ZERO
