"""Incremental indicators against TA-Lib, value by value over random walks, and against the definition where it has
none."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import talib
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from alphapanda.strategies.indicators import (
    AverageTrueRange,
    BollingerBands,
    ExponentialAverage,
    MovingAverage,
    RelativeStrength,
    RollingDeviation,
    RollingExtreme,
    SessionVwap,
    indian_day,
    second_of_day,
)

# Steps of 0.05 from 500 up or down: what a share does; TA-Lib itself is inexact far from that.
walks = (
    st.lists(st.integers(-100, 100), min_size=1, max_size=200)
    .map(lambda steps: [round(500 + 0.05 * sum(steps[: index + 1]), 2) for index in range(len(steps))])
    .map(lambda prices: [price if price >= 1 else 1.0 for price in prices])
)
windows = st.integers(2, 30)

Values = Sequence[float | None]


def pushed(indicator: object, prices: Sequence[float], field: str = "value") -> Values:
    found = []
    for price in prices:
        indicator.push(price)  # type: ignore[attr-defined]
        found.append(getattr(indicator, field))
    return found


def agree(ours: Values, theirs: "NDArray[np.float64]", *, within: float = 1e-6) -> None:
    assert len(ours) == len(theirs)
    for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
        if math.isnan(other):
            assert one is None, index
        else:
            assert one is not None, index
            assert one == pytest.approx(other, rel=1e-9, abs=within), index


Oracle = Callable[["NDArray[np.float64]", int], "NDArray[np.float64]"]


@pytest.mark.parametrize(
    ("make", "oracle"),
    [
        (MovingAverage, talib.SMA),
        (ExponentialAverage, talib.EMA),
        (RollingExtreme.highest, talib.MAX),
        (RollingExtreme.lowest, talib.MIN),
    ],
    ids=["SMA", "EMA", "MAX", "MIN"],
)
@given(prices=walks, window=windows)
def test_an_average_or_extreme_equals_talibs(
    make: Callable[[int], object], oracle: Oracle, prices: list[float], window: int
) -> None:
    agree(pushed(make(window), prices), oracle(np.array(prices), window))


@given(walks, windows)
def test_the_deviation_equals_talibs(prices: list[float], window: int) -> None:
    # TA-Lib subtracts large squares of floats: its own error is of the order of 1e-5 where the spread is small.
    agree(pushed(RollingDeviation(window), prices, "deviation"), talib.STDDEV(np.array(prices), window), within=1e-4)


@given(walks, windows, st.sampled_from([1.0, 2.0, 2.5]))
def test_bollinger_bands_equal_talibs(prices: list[float], window: int, width: float) -> None:
    upper, middle, lower = talib.BBANDS(np.array(prices), window, width, width)
    agree(pushed(BollingerBands(window, width), prices, "upper"), upper, within=1e-3)
    agree(pushed(BollingerBands(window, width), prices, "mean"), middle)
    agree(pushed(BollingerBands(window, width), prices, "lower"), lower, within=1e-3)


@given(walks, windows)
def test_the_relative_strength_equals_talibs_once_a_price_has_moved(prices: list[float], window: int) -> None:
    ours, theirs = pushed(RelativeStrength(window), prices), talib.RSI(np.array(prices), window)
    moved = [len(set(prices[: index + 1])) > 1 for index in range(len(prices))]
    # Where nothing has moved TA-Lib says 0, as if it had only fallen; we say 50.
    assert all(value in (None, 50.0) for value, any_move in zip(ours, moved, strict=True) if not any_move)
    agree([value for value, any_move in zip(ours, moved, strict=True) if any_move], theirs[np.array(moved)])


@given(walks, st.binary(min_size=400, max_size=400), windows)  # bytes are drawn at once, pairs one by one
def test_the_true_range_equals_talibs(closes: list[float], reach: bytes, window: int) -> None:
    highs = [close + up % 41 * 0.05 for close, up in zip(closes, reach[:200], strict=False)]
    lows = [close - down % 41 * 0.05 for close, down in zip(closes, reach[200:], strict=False)]
    atr = AverageTrueRange(window)
    ours = []
    for bar in zip(highs, lows, closes, strict=True):
        atr.push(*bar)
        ours.append(atr.value)
    agree(ours, talib.ATR(np.array(highs), np.array(lows), np.array(closes), window))


@given(walks, windows)
def test_a_zscore_is_the_distance_from_the_mean_in_deviations(prices: list[float], window: int) -> None:
    for index, ours in enumerate(pushed(RollingDeviation(window), prices, "zscore")):
        seen = np.array(prices[max(0, index + 1 - window) : index + 1])
        if len(seen) < window or len(set(seen)) == 1:
            assert ours is None
        else:
            assert ours == pytest.approx((seen[-1] - seen.mean()) / seen.std(), abs=1e-6)


def test_equal_values_deviate_by_exactly_nothing() -> None:
    deviation = RollingDeviation(3)
    for price in (5.0, 99_999.95, 99_999.95, 99_999.95):
        deviation.push(price)
    assert (deviation.deviation, deviation.zscore) == (0.0, None)


def test_a_small_spread_far_from_zero_is_exact() -> None:
    deviation = RollingDeviation(2)
    for price in (9_999_999.95, 10_000_000.05):
        deviation.push(price)
    assert deviation.deviation == pytest.approx(0.05, rel=1e-12)


OPEN = 1_759_981_500.0  # 2025-10-09 09:15 IST

trades = st.lists(
    st.tuples(
        st.integers(1, 10**7).map(lambda steps: steps / 20),
        st.none() | st.integers(0, 10**6),
        st.integers(0, 86_400 * 3),
    ),
    max_size=80,
).map(lambda found: sorted(found, key=lambda trade: trade[2]))


@given(trades)
def test_the_volume_weighted_price_is_that_of_the_indian_day_so_far(
    found: list[tuple[float, int | None, int]],
) -> None:
    vwap = SessionVwap()
    for index, (price, volume, at) in enumerate(found):
        vwap.push(price, volume, OPEN + at)
        today = [one for one in found[: index + 1] if indian_day(OPEN + one[2]) == indian_day(OPEN + at)]
        weight = sum(one[1] or 0 for one in today)
        if not weight:
            assert vwap.value is None
        else:
            assert vwap.value == pytest.approx(sum(one[0] * (one[1] or 0) for one in today) / weight, rel=1e-9)
        assert vwap.since == OPEN + today[0][2]


def test_an_indian_day_begins_at_midnight_in_india() -> None:
    midnight = OPEN - (9 * 60 + 15) * 60
    assert indian_day(midnight - 0.001) + 1 == indian_day(midnight) == indian_day(midnight + 86_399)
    assert second_of_day(OPEN) == (9 * 60 + 15) * 60


@pytest.mark.parametrize(
    "make", [ExponentialAverage, RollingDeviation, BollingerBands, RelativeStrength, AverageTrueRange]
)
def test_a_window_below_one_is_refused(make: Callable[[int], object]) -> None:
    with pytest.raises(ValueError, match="window: 0 must be at least 1"):
        make(0)
