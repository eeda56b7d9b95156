"""Validation: whether a signal fits its instrument and segment, whatever the state of market and book."""

from collections.abc import Iterator
from datetime import date

from alphapanda.domain.instrument import Instrument, InstrumentType
from alphapanda.domain.money import is_multiple
from alphapanda.domain.reasons import Reason, ReasonCode, reason
from alphapanda.domain.signal import OrderTerms
from alphapanda.domain.vocabulary import Exchange, OrderType, Product, Validity, Variety

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
    elif instrument.withdrawn_on is not None:
        yield reason(ReasonCode.INSTRUMENT_NOT_TRADABLE, instrument=instrument.key, gone_since=instrument.withdrawn_on)
    if instrument.lot_size and terms.quantity % instrument.lot_size:
        yield reason(ReasonCode.INSTRUMENT_LOT_SIZE, quantity=terms.quantity, lot_size=instrument.lot_size)
    yield from _variety_breaches(terms, instrument)
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


def stale_dump(instrument: Instrument, trading_date: date, max_age_days: int | None) -> Reason | None:
    """Why no entry is traded on the instrument's tick and lot: its dump is more days old than that (None: no limit).

    What no dump described (a simulator's, a recording's instrument) has no date and cannot be stale.
    """
    if instrument.dump_date is None or max_age_days is None:
        return None
    age = (trading_date - instrument.dump_date).days
    if age <= max_age_days:
        return None
    return reason(ReasonCode.INSTRUMENT_DUMP_STALE, dump=instrument.dump_date, age_days=age, limit_days=max_age_days)


def _variety_breaches(terms: OrderTerms, instrument: Instrument) -> Iterator[Reason]:
    """Only what Kite is known to refuse; the smallest value of a leg and the like are left to the broker.

    Legs are worked one after another, so none can be immediate-or-cancel, and BSE takes no market legs. Validity in
    minutes is not taken outside market hours, and nothing is matched at once there.
    """
    match terms.variety:
        case Variety.ICEBERG:
            legs, lot_size = terms.iceberg_legs or 0, instrument.lot_size or 1
            if terms.quantity < legs * lot_size:
                yield reason(ReasonCode.ICEBERG_LEGS, quantity=terms.quantity, legs=legs, lot_size=lot_size)
            if terms.validity is Validity.IOC:
                yield _unfit(terms, validity=terms.validity)
            if terms.exchange is Exchange.BSE and terms.order_type in (OrderType.MARKET, OrderType.SL_M):
                yield _unfit(terms, exchange=terms.exchange, order_type=terms.order_type)
        case Variety.AMO:
            if terms.validity is not Validity.DAY:
                yield _unfit(terms, validity=terms.validity)
        case Variety.REGULAR:
            pass


def _unfit(terms: OrderTerms, **with_what: object) -> Reason:
    return reason(ReasonCode.VARIETY_NOT_ALLOWED, variety=terms.variety, **with_what)
