"""Bars: what belongs to which, what a gap is, and when a bar counts as seen whole."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapanda.domain.calendar import IST
from alphapanda.feed.bars import Bar, BarBuilder, check_interval
from alphapanda.live.quotes import Tick

OPEN = int(datetime(2025, 10, 9, 9, 15, tzinfo=IST).timestamp())


def tick(at: float, price: float, volume: int | None = 10) -> Tick:
    return Tick("NSE:INFY", price, OPEN + at, 0.0, volume)


def build(interval: int, *ticks: Tick) -> list[Bar]:
    builder = BarBuilder("NSE:INFY", interval)
    return [bar for one in ticks if (bar := builder.add(one)) is not None]


def test_a_bar_is_complete_when_the_first_tick_beyond_it_comes() -> None:
    builder = BarBuilder("NSE:INFY", 60)
    for at, price in ((0, 100.0), (10, 103.0), (20, 99.0), (59.9, 101.0)):
        assert builder.add(tick(at, price)) is None
    bar = builder.add(tick(60, 500.0))
    assert bar == Bar("NSE:INFY", OPEN, 60, 100.0, 103.0, 99.0, 101.0, 40, 4, 0)
    assert bar.end == OPEN + 60


def test_intervals_without_a_tick_are_counted_and_no_bar_is_made_up_for_them() -> None:
    bars = build(60, tick(0, 1.0), tick(61, 2.0), tick(300, 3.0), tick(360, 4.0))
    assert [(bar.start - OPEN, bar.gap) for bar in bars] == [(0, 0), (60, 0), (300, 3)]


def test_a_first_bar_seen_in_part_is_left_out() -> None:
    bars = build(60, tick(1, 1.0), tick(61, 2.0), tick(120, 3.0))
    assert [bar.start - OPEN for bar in bars] == [60]


def test_a_volume_unknown_in_one_tick_is_unknown_in_the_bar() -> None:
    bars = build(60, tick(0, 1.0), tick(1, 1.0, None), tick(2, 1.0), tick(60, 1.0), tick(120, 1.0))
    assert [bar.volume for bar in bars] == [None, 10]


def test_a_tick_from_before_the_forming_bar_is_counted_and_left_out() -> None:
    builder = BarBuilder("NSE:INFY", 60)
    builder.add(tick(0, 100.0))
    builder.add(tick(60, 101.0))
    assert builder.add(tick(59, 1.0)) is None
    assert builder.late == 1
    bar = builder.add(tick(120, 101.0))
    assert bar is not None
    assert (bar.low, bar.ticks) == (101.0, 1)


def test_an_hourly_bar_starts_with_the_session() -> None:
    bars = build(3600, tick(0, 1.0), tick(3599, 2.0), tick(3600, 3.0))
    assert [(bar.start, bar.close) for bar in bars] == [(OPEN, 2.0)]


@pytest.mark.parametrize("seconds", [0, -1, 7, 100_000])
def test_an_interval_that_does_not_divide_a_day_is_refused(seconds: int) -> None:
    with pytest.raises(ValueError, match="divides a day"):
        check_interval(seconds)


@given(
    st.lists(st.tuples(st.floats(0, 600), st.integers(1, 1000), st.integers(0, 50)), min_size=1, max_size=80),
    st.sampled_from([1, 5, 60]),
)
def test_every_bar_says_what_its_ticks_say(raw: list[tuple[float, int, int]], interval: int) -> None:
    ticks = [tick(at, float(price), volume) for at, price, volume in sorted(raw)]
    bars = build(interval, tick(0, 1.0, 0), *ticks, tick(2 * 86_400, 1.0))
    expected: dict[int, list[Tick]] = {}
    for one in (tick(0, 1.0, 0), *ticks):
        expected.setdefault(int((one.exchange_time - OPEN) // interval), []).append(one)
    assert [(bar.start - OPEN) // interval for bar in bars] == sorted(expected)
    for bar in bars:
        inside = expected[(bar.start - OPEN) // interval]
        prices = [one.last_price for one in inside]
        assert (bar.open, bar.high, bar.low, bar.close) == (prices[0], max(prices), min(prices), prices[-1])
        assert (bar.volume, bar.ticks) == (sum(one.volume or 0 for one in inside), len(inside))


@given(st.lists(st.tuples(st.floats(0, 300), st.integers(1, 1000)), min_size=2, max_size=80), st.integers(0, 79))
def test_a_builder_that_started_later_gives_the_same_bars_from_then_on(raw: list[tuple[float, int]], skip: int) -> None:
    ticks = [tick(at, float(price)) for at, price in sorted(raw)]
    # Ticks of one instant come in one batch: a builder starts before all of them or after.
    joined = next((n for n in range(skip, len(ticks)) if ticks[n].exchange_time > ticks[n - 1].exchange_time), 0)
    early, late = build(5, *ticks), build(5, *ticks[joined:])
    without_gap = [(bar.start, bar.open, bar.high, bar.low, bar.close, bar.ticks) for bar in early]
    for bar in late:
        assert (bar.start, bar.open, bar.high, bar.low, bar.close, bar.ticks) in without_gap
