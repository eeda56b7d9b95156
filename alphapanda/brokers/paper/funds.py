"""Whether the account can afford an order, and what the order blocks while it rests. Pure."""

from datetime import date
from decimal import Decimal

from alphapanda.brokers.paper import margins
from alphapanda.brokers.paper.book import Draft
from alphapanda.brokers.paper.records import PaperOrder
from alphapanda.brokers.protocol import BrokerRejected
from alphapanda.domain.charges import ChargesUnknown, ChargeTable
from alphapanda.domain.charging import charges_of
from alphapanda.domain.instrument import Instrument
from alphapanda.domain.money import ZERO
from alphapanda.domain.vocabulary import Product, Side


def blocked_by_order(
    draft: Draft,
    instrument: Instrument,
    *,
    side: Side,
    product: Product,
    quantity: int,
    price: Decimal | None,
    leverage: Decimal,
    charges: ChargeTable,
    day: date,
    replaces: PaperOrder | None = None,
) -> Decimal | None:
    """Rupees the order blocks: margin and charges of what it opens, nothing for what it closes.

    None without a price: then the order is checked when it first meets one. `replaces` is the order that this one
    takes the place of. Raises BrokerRejected when the account lacks the funds or the holdings, or when no charges
    are known for such a trade.
    """
    known_charges = _charges(instrument, side, product, quantity, price or instrument.tick_size, day, charges)
    opens = _opening_quantity(draft, instrument, side, product, quantity, replaces)
    if not opens:
        return ZERO
    if margins.is_delivery(product) and side is Side.SELL:
        raise BrokerRejected(f"insufficient holdings: {product} sells what is held, {opens} of {quantity} are not")
    if price is None:
        return None
    needed = margins.needed_to_open(instrument, product, side, opens, price, leverage) + known_charges
    free = draft.available + (replaces.margin or ZERO if replaces is not None else ZERO)
    if needed > free:
        raise BrokerRejected(f"insufficient funds: {needed} rupees are needed, {free} are available")
    return needed


def _opening_quantity(
    draft: Draft, instrument: Instrument, side: Side, product: Product, quantity: int, replaces: PaperOrder | None
) -> int:
    """The part of the order that no open position, less what other orders already close of it, can absorb."""
    held = draft.position(instrument.exchange, instrument.tradingsymbol, product).quantity * -side.sign
    if held <= 0:
        return quantity
    ignored = replaces.broker_order_id if replaces is not None else None
    promised = sum(
        order.remaining
        for order in draft.resting(instrument.key)
        if order.side is side and order.product is product and order.broker_order_id != ignored
    )
    return max(quantity - max(held - promised, 0), 0)


def _charges(
    instrument: Instrument, side: Side, product: Product, quantity: int, price: Decimal, day: date, table: ChargeTable
) -> Decimal:
    try:
        return charges_of(
            instrument, side=side, product=product, quantity=quantity, price=price, day=day, turnover_before=ZERO,
            table=table,
        ).total  # fmt: skip
    except ChargesUnknown as error:
        raise BrokerRejected(f"charges: {error}") from error
