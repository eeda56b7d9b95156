"""Figures of an equity curve. Pure; what cannot be computed is None, never 0.

Daily figures are of the last equity of each Indian date, the first day measured against the starting cash. Rates are
per year of 252 trading days and without a risk-free rate.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise

from alphapanda.backtest.engine import EquityPoint
from alphapanda.domain.calendar import trading_date

TRADING_DAYS = 252
_DAYS_OF_A_YEAR = 365.25


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The deepest fall of the curve from an earlier high: in rupees, as a share of that high, and between when."""

    amount: Decimal
    share: float
    peak_at: float
    trough_at: float


def daily_equity(points: Sequence[EquityPoint]) -> dict[date, Decimal]:
    """The last equity of each day, in order."""
    return {trading_date(datetime.fromtimestamp(point.at, UTC)): point.equity for point in points}


def daily_returns(start: Decimal, days: dict[date, Decimal]) -> list[float]:
    """Each day's return on the equity before it; empty where an equity was not above 0."""
    curve = [start, *days.values()]
    if any(value <= 0 for value in curve[:-1]):
        return []
    return [float(after / before - 1) for before, after in pairwise(curve)]


def sharpe(returns: Sequence[float]) -> float | None:
    """Mean over standard deviation (of a sample), per year; None below two days or without any variation."""
    if len(returns) < 2:
        return None
    mean = math.fsum(returns) / len(returns)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in returns) / (len(returns) - 1))
    return mean / deviation * math.sqrt(TRADING_DAYS) if deviation > 0 else None


def sortino(returns: Sequence[float]) -> float | None:
    """Mean over the root mean square of the losses (all days count), per year; None without a losing day."""
    if len(returns) < 2:
        return None
    mean = math.fsum(returns) / len(returns)
    downside = math.sqrt(math.fsum(min(value, 0.0) ** 2 for value in returns) / len(returns))
    return mean / downside * math.sqrt(TRADING_DAYS) if downside > 0 else None


def cagr(start: Decimal, days: dict[date, Decimal]) -> float | None:
    """Growth per calendar year; None below two days, or where nothing is left to grow."""
    if len(days) < 2 or start <= 0:
        return None
    first, last = next(iter(days)), next(reversed(days))
    end = days[last]
    if end <= 0:
        return None
    years = ((last - first).days + 1) / _DAYS_OF_A_YEAR
    growth = math.pow(float(end / start), 1 / years)
    return growth - 1


def max_drawdown(points: Sequence[EquityPoint]) -> Drawdown | None:
    """Of the sampled curve; None without points. A curve that never fell has a drawdown of 0."""
    if not points:
        return None
    peak = points[0]
    worst = Drawdown(Decimal(0), 0.0, peak.at, peak.at)
    for point in points:
        if point.equity > peak.equity:
            peak = point
        fall = peak.equity - point.equity
        if fall > worst.amount:
            share = float(fall / peak.equity) if peak.equity > 0 else 1.0
            worst = Drawdown(fall, share, peak.at, point.at)
    return worst


def average_exposure(points: Sequence[EquityPoint]) -> float | None:
    """The mean gross exposure over equity, of the samples; None without any."""
    shares = [float(point.exposure / point.equity) for point in points if point.equity > 0]
    return math.fsum(shares) / len(shares) if shares else None


def time_in_market(points: Sequence[EquityPoint]) -> float | None:
    """The share of samples with anything open; None without any."""
    return sum(point.exposure > 0 for point in points) / len(points) if points else None
