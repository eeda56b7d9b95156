"""Incremental indicators against the plain definition, computed from scratch at every step."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapanda.strategies.indicators import PRICE_SCALE, MovingAverage, RollingExtreme

prices = st.lists(st.integers(1, 10**9).map(lambda steps: steps / PRICE_SCALE), min_size=1, max_size=200)
windows = st.integers(1, 30)


def last(values: Sequence[float], window: int, upto: int) -> Sequence[float]:
    return values[max(0, upto + 1 - window) : upto + 1]


@given(prices, windows)
def test_a_moving_average_equals_the_mean_of_its_window_to_the_last_bit(values: list[float], window: int) -> None:
    average = MovingAverage(window)
    for index, price in enumerate(values):
        average.push(price)
        if index + 1 < window:
            assert average.value is None
        else:
            exact = sum(round(value * PRICE_SCALE) for value in last(values, window, index))
            assert average.value == exact / (window * PRICE_SCALE)


@given(prices, prices, windows)
def test_a_moving_average_forgets_everything_before_its_window(
    before: list[float], values: list[float], window: int
) -> None:
    old, young = MovingAverage(window), MovingAverage(window)
    for price in before:
        old.push(price)
    for price in values:
        old.push(price)
        young.push(price)
    if young.ready:
        assert old.value == young.value


@given(prices, windows, windows)
def test_averages_compare_exactly(values: list[float], one: int, other: int) -> None:
    first, second = MovingAverage(one), MovingAverage(other)
    for price in values:
        first.push(price)
        second.push(price)
    if first.ready and second.ready:
        scaled = [round(value * PRICE_SCALE) for value in values]
        ours, theirs = sum(scaled[-one:]) * other, sum(scaled[-other:]) * one
        assert first.compare(second) == (ours > theirs) - (ours < theirs)
        assert first.compare(second) == -second.compare(first)


def test_many_prices_leave_no_drift() -> None:
    average = MovingAverage(3)
    for index in range(300_000):
        average.push(0.1 if index % 2 else 99_999.95)
    for price in (0.1, 0.2, 0.3):
        average.push(price)
    assert average.value == 0.2


@given(prices, windows)
def test_rolling_extremes_equal_those_of_the_window(values: list[float], window: int) -> None:
    highest, lowest = RollingExtreme.highest(window), RollingExtreme.lowest(window)
    for index, price in enumerate(values):
        highest.push(price)
        lowest.push(price)
        seen = last(values, window, index)
        ready = index + 1 >= window
        assert highest.value == (max(seen) if ready else None)
        assert lowest.value == (min(seen) if ready else None)


@pytest.mark.parametrize("make", [MovingAverage, RollingExtreme.highest, RollingExtreme.lowest])
def test_a_window_below_one_is_refused(make: type[MovingAverage]) -> None:
    with pytest.raises(ValueError, match="window: 0 must be at least 1"):
        make(0)
