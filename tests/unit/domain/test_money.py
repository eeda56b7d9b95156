"""Money is exact: floats are refused, rounding happens where it is named, the grid is the grid."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapanda.domain.errors import InvalidValueError
from alphapanda.domain.money import average_price, decimal_of, is_multiple, to_paisa


@pytest.mark.parametrize("value", [1.5, 0.1, float("nan"), True, "x", "", "NaN", "Infinity", "-inf", None, [], "1,5"])
def test_what_is_no_exact_number_is_refused_by_the_fields_name(value: Any) -> None:
    with pytest.raises(InvalidValueError, match="price"):
        decimal_of(value, "price")


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_an_exact_number_is_kept(value: Decimal) -> None:
    assert decimal_of(str(value), "price") == value
    assert decimal_of(value, "price") == value


@pytest.mark.parametrize(
    ("amount", "rounded"), [("0.005", "0.01"), ("0.0049", "0"), ("-0.005", "-0.01"), ("2.675", "2.68")]
)
def test_paisa_are_rounded_half_up_as_on_contract_notes(amount: str, rounded: str) -> None:
    assert to_paisa(Decimal(amount)) == Decimal(rounded)


@given(st.integers(1, 10**7), st.sampled_from(["0.05", "0.01", "0.1", "0.0025", "5"]))
def test_every_multiple_of_a_tick_lies_on_its_grid_and_nothing_between_does(count: int, tick: str) -> None:
    step = Decimal(tick)
    assert is_multiple(count * step, step)
    assert not is_multiple(count * step + step / 2, step)


def test_nothing_traded_has_no_average() -> None:
    assert average_price(Decimal(0), 0) is None
    assert average_price(Decimal("10.00005"), 1) == Decimal("10.0000")
    assert average_price(Decimal(-300), -3) == Decimal(100)
