"""Whether an order meets a quote, at what price and how much. Pure.

| order | matches when | at |
|---|---|---|
| LIMIT (and what became one) on arrival | the other side's quote is at the limit or better | that quote |
| LIMIT at rest | the quote or the last trade reaches the limit | the limit |
| SL, SL-M | after the last trade touched the trigger; then as a LIMIT that arrives | |
"""

from decimal import Decimal

from alphapanda.kitesim.market import Quote
from alphapanda.kitesim.orders import SimOrder

STOPS = ("SL", "SL-M")


def is_triggered(order: SimOrder, last: Decimal) -> bool:
    """A buy stop triggers on the way up, a sell stop on the way down; touching is enough."""
    return last >= order.trigger_price if order.is_buy else last <= order.trigger_price


def match(order: SimOrder, quote: Quote, *, arriving: bool) -> tuple[int, Decimal]:
    """How many trade, at which price; 0 where they do not meet. A stop must have been triggered before."""
    left = quote.left(buying=order.is_buy)
    quantity = order.can_fill if left is None else min(order.can_fill, left)
    price = _price(order, quote, arriving=arriving)
    if price is None or quantity <= 0:
        return 0, Decimal(0)
    return quantity, price


def _price(order: SimOrder, quote: Quote, *, arriving: bool) -> Decimal | None:
    met = quote.met_by(buying=order.is_buy)
    if arriving:
        return met if _reaches(order, met) else None
    return order.price if _reaches(order, met) or _reaches(order, quote.last) else None


def _reaches(order: SimOrder, price: Decimal) -> bool:
    return price <= order.price if order.is_buy else price >= order.price
