"""Positions at average cost: no paisa is made or lost, whatever the sequence of trades."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapanda.domain.positions import Position

quantities = st.integers(-50, 50).filter(bool)
prices = st.decimals("0.05", "5000", places=2)
trades = st.lists(st.tuples(quantities, prices), max_size=20)


def after(sequence: list[tuple[int, Decimal]]) -> Position:
    position = Position()
    for quantity, price in sequence:
        position = position.after_trade(quantity, price)
    return position


@pytest.mark.parametrize(
    ("sequence", "quantity", "average", "realised"),
    [
        ([(10, "100"), (10, "110")], 20, "105", "0"),
        ([(10, "100"), (-4, "110")], 6, "100", "40"),
        ([(10, "100"), (-10, "90")], 0, None, "-100"),
        ([(10, "100"), (-15, "110")], -5, "110", "100"),
        ([(-10, "100"), (4, "90")], -6, "100", "40"),
        ([(-10, "100"), (15, "90")], 5, "90", "100"),
        ([(1, "100"), (1, "100.05"), (1, "100.05"), (-1, "101")], 2, "100.0334", "0.9667"),
    ],
)
def test_what_trades_make_of_a_position(
    sequence: list[tuple[int, str]], quantity: int, average: str | None, realised: str
) -> None:
    position = after([(size, Decimal(price)) for size, price in sequence])
    assert position.quantity == quantity
    assert position.average_price == (None if average is None else Decimal(average))
    assert position.realised == Decimal(realised)


@given(trades)
def test_cost_less_realised_is_the_cash_that_moved(sequence: list[tuple[int, Decimal]]) -> None:
    position = after(sequence)
    cash = sum((quantity * price for quantity, price in sequence), Decimal(0))
    assert position.cost - position.realised == cash  # to the last digit
    assert position.quantity == sum(quantity for quantity, _ in sequence)


@given(trades)
def test_a_flat_position_has_no_cost_left(sequence: list[tuple[int, Decimal]]) -> None:
    position = after(sequence)
    if position.quantity:
        position = position.after_trade(-position.quantity, Decimal("123.45"))
    assert (position.quantity, position.cost, position.average_price) == (0, Decimal(0), None)


@given(trades, prices)
def test_closing_at_a_price_realises_what_was_unrealised_there(
    sequence: list[tuple[int, Decimal]], price: Decimal
) -> None:
    position = after(sequence)
    unrealised = position.unrealised(price)
    assert unrealised is not None
    closed = position.after_trade(-position.quantity, price) if position.quantity else position
    assert closed.realised - position.realised == unrealised


def test_an_unknown_price_makes_the_result_unknown_only_where_something_is_open() -> None:
    assert Position().unrealised(None) == 0
    assert Position(1, Decimal(100)).unrealised(None) is None
