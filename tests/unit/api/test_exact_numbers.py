"""Prices in and out: no digit is lost between JSON and the ledger."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapanda.domain.errors import InvalidValueError
from api.schemas.base import exact_number, render_decimal

prices = st.decimals(min_value=Decimal("0.0001"), max_value=Decimal("9999999.9999"), places=4)
read = exact_number("price")


@given(prices)
def test_a_price_sent_as_a_json_number_arrives_exactly(price: Decimal) -> None:
    assert read(json.loads(str(price))) == price


@given(prices)
def test_number_and_string_of_one_price_are_one_text(price: Decimal) -> None:
    assert str(read(json.loads(str(price)))) == str(read(str(price)))


@given(prices)
def test_what_is_rendered_reads_back_the_same(price: Decimal) -> None:
    text = render_decimal(price)
    assert Decimal(text) == price
    assert len(text.partition(".")[2]) >= 2
    assert "E" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [("1450.0500", "1450.05"), ("1450", "1450.00"), ("0", "0.00"), ("-3.5", "-3.50"), ("1E+3", "1000.00")],
)
def test_decimals_are_rendered_with_paise_and_without_dust(value: str, text: str) -> None:
    assert render_decimal(Decimal(value)) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "NaN", "x", True, [1], [0, [1], 0], {}])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(InvalidValueError, match="price"):
        read(value)


def test_a_number_beyond_all_measure_costs_nothing() -> None:
    assert read("1e999999") == Decimal("1e999999")
    assert read("1e-999999") == Decimal("1e-999999")
