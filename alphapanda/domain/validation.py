"""Validation: whether a signal fits its instrument and segment, whatever the state of market and book."""

from collections.abc import Iterator
from datetime import date

from alphapanda.domain.instrument import Instrument, InstrumentType
from alphapanda.domain.money import is_multiple
from alphapanda.domain.reasons import Reason, ReasonCode, reason
from alphapanda.domain.signal import OrderTerms
from alphapanda.domain.vocabulary import Exchange, Product

_CASH = frozenset({Exchange.NSE, Exchange.BSE})
_PRODUCTS = {
    True: frozenset({Product.CNC, Product.MIS, Product.MTF}),
    False: frozenset({Product.NRML, Product.MIS}),
}
"""Products by whether the exchange is a cash market (Kite: CNC and MTF are equity only, NRML derivatives only)."""


def instrument_breaches(terms: OrderTerms, instrument: Instrument, trading_date: date) -> Iterator[Reason]:
    """Each rule of the instrument that the terms break; none means that they fit."""
    if instrument.instrument_type is InstrumentType.INDEX:
        yield reason(ReasonCode.INSTRUMENT_NOT_TRADABLE, instrument=instrument.key, type="index")
    if instrument.expiry is not None and instrument.expiry < trading_date:
        yield reason(ReasonCode.INSTRUMENT_NOT_TRADABLE, instrument=instrument.key, expired=instrument.expiry)
    if instrument.lot_size and terms.quantity % instrument.lot_size:
        yield reason(ReasonCode.INSTRUMENT_LOT_SIZE, quantity=terms.quantity, lot_size=instrument.lot_size)
    allowed = _PRODUCTS[terms.exchange in _CASH]
    if terms.product not in allowed:
        yield reason(ReasonCode.PRODUCT_NOT_ALLOWED, product=terms.product, allowed="/".join(sorted(allowed)))
    for field in ("price", "trigger_price"):
        value = getattr(terms, field)
        if value is None:
            continue
        if instrument.tick_size and not is_multiple(value, instrument.tick_size):
            yield reason(ReasonCode.INSTRUMENT_TICK_SIZE, **{field: value, "tick_size": instrument.tick_size})
        low, high = instrument.lower_circuit, instrument.upper_circuit
        if (low is not None and value < low) or (high is not None and value > high):
            yield reason(ReasonCode.INSTRUMENT_PRICE_BAND, **{field: value, "band": f"{low}..{high}"})
