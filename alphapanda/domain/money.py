"""Money, prices and quantities: one type per idea, so that a wrong mix does not type-check.

All are exact. `Price` and `Money` are `Decimal` rupees; `Quantity` is a count of shares or contracts, never of lots.
"""

from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, InvalidOperation
from typing import NewType

from alphapanda.domain.errors import InvalidValueError

Price = NewType("Price", Decimal)
Money = NewType("Money", Decimal)
Quantity = NewType("Quantity", int)

ZERO = Money(Decimal(0))
PAISA = Decimal("0.01")


def decimal_of(value: str | int | Decimal, field: str) -> Decimal:
    """Exact decimal of a JSON string or integer. Floats are refused: they have already lost the paisa."""
    if isinstance(value, float | bool):
        raise InvalidValueError(f"{field}: send a decimal as a string, not {value!r}")
    try:
        number = Decimal(value)
    except (InvalidOperation, TypeError, ValueError) as error:
        raise InvalidValueError(f"{field}: {value!r} is not a decimal number") from error
    if not number.is_finite():
        raise InvalidValueError(f"{field}: {value!r} is not a finite number")
    return number


def to_paisa(amount: Decimal) -> Money:
    """Rupees rounded half up to the paisa, as contract notes do."""
    return Money(amount.quantize(PAISA, rounding=ROUND_HALF_UP))


def average_price(turnover: Decimal, quantity: int) -> Price | None:
    """Volume-weighted price to four decimals (as Kite shows averages); None when nothing was traded."""
    if quantity == 0:
        return None
    return Price((turnover / quantity).quantize(Decimal("0.0001"), rounding=ROUND_HALF_EVEN))


def is_multiple(value: Decimal, step: Decimal) -> bool:
    """Whether `value` lies on the grid of `step` (a tick size); exact, so 1423.05 on 0.05 holds."""
    return value % step == 0
