"""What counts as an exit, and what a position could grow to."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapanda.domain.vocabulary import Side
from tests.unit.risk.desk import FLAT, book, candidate, limit, quote

positions = st.integers(-100, 100)


@pytest.mark.parametrize(
    ("held", "on_their_way", "side", "quantity", "is_exit"),
    [
        (10, 0, Side.SELL, 10, True),
        (10, 0, Side.SELL, 11, False),
        (10, 4, Side.SELL, 6, True),
        (10, 4, Side.SELL, 7, False),
        (10, 0, Side.BUY, 1, False),
        (-10, 0, Side.BUY, 10, True),
        (-10, 0, Side.SELL, 1, False),
        (0, 0, Side.SELL, 1, False),
    ],
)
def test_an_exit_only_reduces_what_is_held(
    held: int, on_their_way: int, side: Side, quantity: int, is_exit: bool
) -> None:
    assert book(position=held, reserved_exits=on_their_way).is_exit(side, quantity) is is_exit


@given(positions, st.lists(st.tuples(st.sampled_from(Side), st.integers(1, 40)), max_size=10))
def test_exits_on_their_way_never_turn_a_position_around(held: int, orders: list[tuple[Side, int]]) -> None:
    closing = Side.SELL if held > 0 else Side.BUY
    exits = 0
    for side, quantity in orders:
        if book(position=held, reserved_exits=exits).is_exit(side, quantity):
            assert side is closing
            exits += quantity
    assert exits <= abs(held)


@given(positions, st.integers(0, 100), st.integers(0, 100), st.integers(1, 100))
def test_the_exposure_is_the_same_seen_from_either_side(held: int, buys: int, sells: int, quantity: int) -> None:
    one = book(position_all_products=held, reserved_buys=buys, reserved_sells=sells)
    mirrored = book(position_all_products=-held, reserved_buys=sells, reserved_sells=buys)
    assert one.exposure_after(Side.BUY, quantity) == mirrored.exposure_after(Side.SELL, quantity)


def test_marking_adds_the_open_result_and_leaves_the_book_alone() -> None:
    assert FLAT.marked(Decimal(-5)).marked(Decimal(2)).day_result == -3
    assert FLAT.day_result == 0


def test_an_order_is_valued_at_its_own_price_else_at_the_quote() -> None:
    assert candidate(**limit("900")).value == 9_000
    assert candidate().value == 10_000
    assert candidate(view=quote(None)).value is None
