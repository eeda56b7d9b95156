"""Positions at average cost: pure arithmetic of what a trade does to one."""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal

from alphapanda.domain.money import average_price

_GRID = Decimal("0.0001")
"""Of the ledger's columns: what lies on it is stored as it is."""


@dataclass(frozen=True, slots=True)
class Position:
    """`quantity` is negative when short; `cost` is the signed rupees paid for it (quantity x average price).

    `realised` is profit on what was closed, before charges.
    """

    quantity: int = 0
    cost: Decimal = Decimal(0)
    realised: Decimal = Decimal(0)

    @property
    def average_price(self) -> Decimal | None:
        return average_price(self.cost, self.quantity)

    def after_trade(self, signed_quantity: int, price: Decimal) -> "Position":
        """The position once `signed_quantity` (negative: sold) traded at `price`.

        The closed part leaves at its share of the cost. The share is rounded once, here and not by the ledger's
        columns, so cost and realised profit always add up to the cash that moved, to the last digit:
        cost - realised = sum of signed quantity x price.
        """
        closing = 0
        if self.quantity * signed_quantity < 0:
            closing = min(abs(self.quantity), abs(signed_quantity)) * (1 if signed_quantity > 0 else -1)
        opening = signed_quantity - closing
        if closing == 0:
            return Position(self.quantity + opening, self.cost + opening * price, self.realised)
        remaining = self.quantity + closing
        released = self.cost  # of a full close: no dust is left behind
        if remaining:
            released = (self.cost * -closing / self.quantity).quantize(_GRID, rounding=ROUND_HALF_EVEN)
        realised = self.realised - released - closing * price
        return Position(remaining + opening, self.cost - released + opening * price, realised)

    def unrealised(self, last_price: Decimal | None) -> Decimal | None:
        """Profit if closed at `last_price`; None when the price is unknown and something is open."""
        if self.quantity == 0:
            return Decimal(0)
        return None if last_price is None else self.quantity * last_price - self.cost
