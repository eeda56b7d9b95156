"""What the exchange refuses at the door, before anything is in its book. Pure; each refusal is a BrokerRejected."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal

from alphapanda.brokers.protocol import BrokerRejected
from alphapanda.domain.calendar import IST, Calendar, CalendarUnknown, Segment, trading_date
from alphapanda.domain.instrument import Instrument, InstrumentType
from alphapanda.domain.money import is_multiple
from alphapanda.domain.signal import OrderTerms
from alphapanda.domain.vocabulary import Exchange, Product, Side, Variety

_PERCENT = Decimal("0.01")
_PRODUCTS = {
    Exchange.NSE: (Product.CNC, Product.MIS, Product.MTF),
    Exchange.BSE: (Product.CNC, Product.MIS, Product.MTF),
}
_DERIVATIVE_PRODUCTS = (Product.NRML, Product.MIS)


def check_terms(
    terms: OrderTerms,
    instrument: Instrument,
    *,
    reference: Decimal | None,
    band_percent: Decimal,
    now: datetime,
    waits_for_trigger: bool,
) -> None:
    """Raise BrokerRejected naming the first rule the terms break.

    `reference` is the last known price: the middle of the band where the instrument carries no circuit limits, and
    what a stop that `waits_for_trigger` must not have passed yet.
    """
    for refusal in _refusals(terms, instrument, reference, band_percent, now):
        raise BrokerRejected(refusal)
    if waits_for_trigger and terms.trigger_price is not None and reference is not None:
        _check_trigger(terms.side, terms.trigger_price, reference)


def _check_trigger(side: Side, trigger: Decimal, last: Decimal) -> None:
    """A stop on the wrong side of the market would be no stop: Zerodha refuses it, in these words."""
    if side is Side.BUY and trigger <= last:
        raise BrokerRejected(
            f"Trigger price for stoploss buy orders should be higher than the last traded price ({last})."
        )
    if side is Side.SELL and trigger >= last:
        raise BrokerRejected(
            f"Trigger price for stoploss sell orders should be lower than the last traded price ({last})."
        )


def check_variety(terms: OrderTerms) -> None:
    """An iceberg is worked as one ordinary order here: nobody else's book is there to hide its size from."""
    if terms.variety is Variety.AMO:
        raise BrokerRejected(
            "variety: the paper exchange keeps no after-market orders; send a regular one with wait_for_open"
        )


def _refusals(
    terms: OrderTerms, instrument: Instrument, reference: Decimal | None, band_percent: Decimal, now: datetime
) -> Iterator[str]:
    if instrument.instrument_type is InstrumentType.INDEX:
        yield f"instrument: {instrument.key} is an index and cannot be traded"
    if instrument.expiry is not None and instrument.expiry < trading_date(now):
        yield f"instrument: {instrument.key} expired on {instrument.expiry}"
    allowed = _PRODUCTS.get(instrument.exchange, _DERIVATIVE_PRODUCTS)
    if terms.product not in allowed:
        yield f"product: {terms.product} is not traded on {instrument.exchange}, which has {', '.join(allowed)}"
    if terms.quantity % instrument.lot_size:
        yield f"quantity: {terms.quantity} is not a multiple of the lot size {instrument.lot_size}"
    for field, price in (("price", terms.price), ("trigger_price", terms.trigger_price)):
        if price is None:
            continue
        if not is_multiple(price, instrument.tick_size):
            yield f"{field}: {price} is not a multiple of the tick size {instrument.tick_size}"
        low, high = _band(instrument, reference, band_percent)
        if (low is not None and price < low) or (high is not None and price > high):
            yield f"{field}: {price} is outside the price band {low} to {high}"


def _band(instrument: Instrument, reference: Decimal | None, percent: Decimal) -> tuple[Decimal | None, Decimal | None]:
    width = None if reference is None else reference * percent * _PERCENT
    low = None if reference is None or width is None else reference - width
    high = None if reference is None or width is None else reference + width
    return (
        low if instrument.lower_circuit is None else instrument.lower_circuit,
        high if instrument.upper_circuit is None else instrument.upper_circuit,
    )


def day_ends(calendar: Calendar | None, instrument: Instrument, now: datetime) -> datetime:
    """When a DAY order placed now expires: the close of continuous trading, or Indian midnight without a calendar.

    Raises BrokerRejected when the market is not open now.
    """
    day = trading_date(now)
    if calendar is None:
        return datetime.combine(day + timedelta(days=1), datetime.min.time(), IST)
    try:
        segment = Segment(instrument.segment)
        closes = calendar.close_of(segment, day) if calendar.is_open(segment, now) else None
    except CalendarUnknown as error:
        raise BrokerRejected(f"the market's hours are not known: {error}") from error
    except ValueError as error:
        raise BrokerRejected(f"segment: {instrument.segment!r} of {instrument.key} has no session table") from error
    if closes is None:
        raise BrokerRejected(f"the market {segment} is closed")
    return closes
