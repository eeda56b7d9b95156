"""Positions at average cost, and the cash that moves with a trade. Pure and exact.

What always holds, to the paisa: cash = starting cash - charges + realised profit - cost of what was paid in full.
"""

from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from alphapanda.brokers.paper.records import PaperPosition
from alphapanda.domain.money import ZERO, Money, Price
from alphapanda.domain.vocabulary import Side

_GRID = Decimal("0.0001")


def add_trade(position: PaperPosition, side: Side, quantity: int, price: Price) -> tuple[PaperPosition, Money]:
    """The position after a trade, and the profit it realised (rupees, before charges).

    A trade against the position closes at average cost first; what is left of it opens the other way.
    """
    signed = side.sign * quantity
    closes = 0 if position.quantity * signed >= 0 else min(quantity, abs(position.quantity))
    released = _share(position.cost, closes, abs(position.quantity))
    realised = Money(-side.sign * closes * price - released) if closes else ZERO
    opens = side.sign * (quantity - closes)
    return (
        msgspec.structs.replace(
            position,
            quantity=position.quantity + signed,
            cost=position.cost - released + opens * price,
            realised=position.realised + realised,
        ),
        realised,
    )


def _share(cost: Decimal, part: int, whole: int) -> Decimal:
    """The cost of `part` of `whole`; the last part takes what rounding left, so shares always sum to the cost."""
    if part == 0:
        return ZERO
    return cost if part == whole else (cost * part / whole).quantize(_GRID, rounding=ROUND_HALF_EVEN)
