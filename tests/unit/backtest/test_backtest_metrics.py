"""The figures of a report: each against a case worked out by hand, and unknown where nothing is known."""

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapanda.backtest import metrics
from alphapanda.backtest.engine import EquityPoint
from alphapanda.backtest.trades import round_trips
from tests.unit.backtest.scripted import OPEN, at, buy, run, scripted, sell, tick

DAY = 86_400.0


def point(day: float, equity: float | str, exposure: float = 0) -> EquityPoint:
    return EquityPoint(OPEN + day * DAY, Decimal(equity), Decimal(exposure))


def test_the_last_equity_of_an_indian_day_is_the_days() -> None:
    late = datetime(2024, 5, 21, 18, 29, tzinfo=UTC).timestamp()  # 23:59 in India
    points = [point(0, 1), EquityPoint(late, Decimal(2), Decimal(0)), EquityPoint(late + 60, Decimal(3), Decimal(0))]
    assert metrics.daily_equity(points) == {date(2024, 5, 21): Decimal(2), date(2024, 5, 22): Decimal(3)}


def test_sharpe_and_sortino_of_three_days() -> None:
    days = {date(2024, 5, 21) + timedelta(n): Decimal(value) for n, value in enumerate((110, 99, 99))}
    returns = metrics.daily_returns(Decimal(100), days)
    assert returns == pytest.approx([0.1, -0.1, 0.0])
    assert metrics.sharpe(returns) == pytest.approx(0.0)
    assert metrics.sharpe([0.02, 0.01]) == pytest.approx(0.015 / math.sqrt(0.00005) * math.sqrt(252))
    assert metrics.sortino([0.02, -0.01]) == pytest.approx(0.005 / math.sqrt(0.0001 / 2) * math.sqrt(252))


def test_what_cannot_be_known_is_none_and_never_zero() -> None:
    assert metrics.sharpe([]) is metrics.sharpe([0.1]) is metrics.sharpe([0.1, 0.1]) is None
    assert metrics.sortino([]) is metrics.sortino([0.1, 0.2]) is None
    assert metrics.cagr(Decimal(100), {}) is metrics.cagr(Decimal(100), {date(2024, 5, 21): Decimal(110)}) is None
    assert metrics.cagr(Decimal(1), {date(2024, 5, 21): Decimal(1), date(2024, 5, 22): Decimal(0)}) is None
    assert metrics.max_drawdown([]) is None
    assert metrics.average_exposure([]) is metrics.time_in_market([]) is None
    assert metrics.daily_returns(Decimal(0), {date(2024, 5, 21): Decimal(1)}) == []


def test_growth_is_per_calendar_year() -> None:
    days = {date(2024, 1, 1): Decimal(100), date(2025, 12, 30): Decimal(121)}
    assert metrics.cagr(Decimal(100), days) == pytest.approx(0.1, abs=0.001)


def test_the_deepest_fall_is_from_the_highest_before_it() -> None:
    fall = metrics.max_drawdown([point(0, 100), point(1, 120), point(2, 90), point(3, 130), point(4, 110)])
    assert fall == metrics.Drawdown(Decimal(30), 0.25, OPEN + DAY, OPEN + 2 * DAY)
    rising = metrics.max_drawdown([point(0, 100), point(1, 120)])
    assert rising is not None
    assert (rising.amount, rising.share) == (Decimal(0), 0.0)


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=30))
def test_no_fall_is_deeper_than_the_drawdown(values: list[int]) -> None:
    fall = metrics.max_drawdown([point(n, value) for n, value in enumerate(values)])
    assert fall is not None
    assert fall.amount == max(max(values[: n + 1]) - value for n, value in enumerate(values))


def test_exposure_is_shared_over_the_samples() -> None:
    points = [point(0, 100, 0), point(1, 100, 50)]
    assert metrics.average_exposure(points) == 0.25
    assert metrics.time_in_market(points) == 0.5


def test_a_round_trip_runs_from_flat_to_flat() -> None:
    ticks = [tick(0, 100), tick(20, 110), tick(40, 120), tick(60, 130)]
    script = {0: buy(10), 20: buy(10), 40: sell(15), 60: sell(5)}
    [trade] = round_trips(run(ticks, scripted(lambda each: [script[int(each.exchange_time - OPEN)]])).desk.fills)
    assert (trade.side, trade.quantity, trade.entry_price) == ("BUY", 20, Decimal("105.0000"))
    assert (trade.exit_price, trade.gross) == (Decimal("122.5000"), Decimal(350))
    assert trade.closed_at is not None
    assert trade.closed_at.timestamp() == OPEN + 60


def test_a_reversal_ends_one_trade_and_begins_the_next_and_no_paisa_of_charges_is_lost() -> None:
    script = {0: buy(10), 20: sell(25), 40: buy(15)}
    outcome = run(
        [tick(0, 100), tick(20, 110), tick(40, 90)], scripted(lambda t: [script[int(t.exchange_time - OPEN)]])
    )
    long, short = round_trips(outcome.desk.fills)
    assert (long.side, long.quantity, long.gross) == ("BUY", 10, Decimal(100))
    assert (short.side, short.quantity, short.gross) == ("SELL", 15, Decimal(300))
    assert long.charges + short.charges == outcome.desk.charges
    assert outcome.desk.realised == Decimal(400)


def test_a_trade_that_is_open_has_no_result() -> None:
    [trade] = round_trips(run([tick(0, 100)], scripted(at(0, then=[buy()]))).desk.fills)
    assert (trade.closed_at, trade.exit_price, trade.gross, trade.net) == (None, None, None, None)
