"""Positions and funds as sums over trades, kept up to date trade by trade. Pure.

Kite's own conventions: an open position's average is that of all buys (or sells) of the day, profit is what was sold
less what was bought plus the open part at the last price. Charges are not taken from the funds during the day.
"""

from dataclasses import dataclass
from decimal import Decimal

from alphapanda.kitesim.instruments import SimInstrument
from alphapanda.kitesim.orders import ZERO, SimOrder, SimTrade

PositionKey = tuple[str, str, str]  # exchange, tradingsymbol, product
_FULL, _INTRADAY, _OVERNIGHT = Decimal(1), Decimal("0.2"), Decimal("0.2")


@dataclass(slots=True)
class Sums:
    """What was bought and sold of one instrument as one product; values in rupees."""

    bought: int = 0
    bought_value: Decimal = ZERO
    sold: int = 0
    sold_value: Decimal = ZERO

    @property
    def net(self) -> int:
        return self.bought - self.sold

    def add(self, trade: SimTrade, multiplier: int) -> None:
        value = trade.price * trade.quantity * multiplier
        if trade.is_buy:
            self.bought += trade.quantity
            self.bought_value += value
        else:
            self.sold += trade.quantity
            self.sold_value += value

    @property
    def open_value(self) -> Decimal:
        """The open part at its average, unsigned."""
        if self.net > 0:
            return self.bought_value * self.net / self.bought
        return self.sold_value * -self.net / self.sold if self.net < 0 else ZERO


class Portfolio:
    def __init__(self) -> None:
        self.positions: dict[PositionKey, Sums] = {}
        self.flow = ZERO
        """Rupees received less rupees paid, over all trades."""

    def add(self, trade: SimTrade, multiplier: int) -> None:
        key = (trade.exchange, trade.tradingsymbol, trade.product)
        self.positions.setdefault(key, Sums()).add(trade, multiplier)
        value = trade.price * trade.quantity * multiplier
        self.flow += -value if trade.is_buy else value

    def net(self, order: SimOrder) -> int:
        sums = self.positions.get((order.exchange, order.tradingsymbol, order.product))
        return sums.net if sums is not None else 0

    def used(self, key: PositionKey, instrument: SimInstrument) -> Decimal:
        """Rupees one position takes from the funds; negative where it has brought some."""
        sums, product = self.positions[key], key[2]
        paid = sums.bought_value - sums.sold_value
        if product in ("CNC", "MTF") or (instrument.is_option and sums.net >= 0):
            return paid
        margin = sums.open_value * margin_rate(instrument, product, buying=sums.net > 0)
        realised = -paid + (sums.open_value if sums.net > 0 else -sums.open_value)
        return margin - realised


def margin_rate(instrument: SimInstrument, product: str, *, buying: bool) -> Decimal:
    """The part of a trade's value that it blocks."""
    if product in ("CNC", "MTF") or (instrument.is_option and buying):
        return _FULL
    return _INTRADAY if product == "MIS" else _OVERNIGHT


def opening_quantity(order: SimOrder, held: int) -> int:
    """The part of the order that opens, given the position of signed `held`; what closes blocks nothing."""
    closable = max(0, -held if order.is_buy else held)
    return max(0, order.remaining - closable)


def needed(order: SimOrder, instrument: SimInstrument, price: Decimal, held: int) -> Decimal:
    """Rupees that the order's unfilled part blocks."""
    rate = margin_rate(instrument, order.product, buying=order.is_buy)
    return price * opening_quantity(order, held) * instrument.multiplier * rate
