"""Charges of a trade as reported: the one place where the ledger and the paper exchange get them from."""

from datetime import date
from decimal import Decimal

from alphapanda.domain.calendar import trading_date
from alphapanda.domain.charges import ChargeableFill, Charges, ChargesUnknown, ChargeTable, SegmentKind, charges_for
from alphapanda.domain.execution import TradeReport
from alphapanda.domain.instrument import Instrument, InstrumentType
from alphapanda.domain.money import Money, Price, Quantity
from alphapanda.domain.vocabulary import Exchange, Product, Side

_KINDS = {
    InstrumentType.EQUITY: SegmentKind.CASH,
    InstrumentType.FUTURE: SegmentKind.FUTURES,
    InstrumentType.CALL: SegmentKind.OPTIONS,
    InstrumentType.PUT: SegmentKind.OPTIONS,
}


def charges_of_trade(
    trade: TradeReport, instrument: Instrument | None, *, turnover_before: Money, table: ChargeTable
) -> Charges:
    """Charges of one trade, given the order's turnover in rupees before it. Raises ChargesUnknown.

    The depository's fee per delivery sell is the day's, not the fill's, and is not in here.
    """
    fill = ChargeableFill(
        exchange=trade.exchange,
        segment_kind=_segment_kind(trade, instrument),
        product=trade.product,
        side=trade.side,
        quantity=Quantity(trade.quantity),
        price=Price(trade.price),
        trade_date=trading_date(trade.traded_at),
    )
    return charges_for(fill, table, order_turnover_before=turnover_before)


def charges_of(
    instrument: Instrument,
    *,
    side: Side,
    product: Product,
    quantity: int,
    price: Decimal,
    day: date,
    turnover_before: Decimal,
    table: ChargeTable,
) -> Charges:
    """The same for a trade that is about to happen, or an estimate of one. `day` is the Indian trading date."""
    if instrument.instrument_type not in _KINDS:
        raise ChargesUnknown(f"{instrument.key} is an {instrument.instrument_type}: nothing trades in it")
    fill = ChargeableFill(
        exchange=instrument.exchange,
        segment_kind=_KINDS[instrument.instrument_type],
        product=product,
        side=side,
        quantity=Quantity(quantity),
        price=Price(price),
        trade_date=day,
    )
    return charges_for(fill, table, order_turnover_before=Money(turnover_before))


def _segment_kind(trade: TradeReport, instrument: Instrument | None) -> SegmentKind:
    if instrument is not None and instrument.instrument_type in _KINDS:
        return _KINDS[instrument.instrument_type]
    if trade.exchange in (Exchange.NSE, Exchange.BSE):
        return SegmentKind.CASH
    raise ChargesUnknown(f"{trade.exchange}:{trade.tradingsymbol} is not a known instrument, so its charges are not")
