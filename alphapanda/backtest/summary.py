"""The summary of a run: what it won and cost, how steadily, and the same for each strategy and instrument."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from decimal import Decimal

from alphapanda.backtest import metrics
from alphapanda.backtest.desk import FillRecord, OrderRecord
from alphapanda.backtest.engine import Outcome, Rules
from alphapanda.backtest.rendering import Document, moment, ratio, rupees
from alphapanda.backtest.trades import Trade
from alphapanda.domain.calendar import trading_date
from alphapanda.domain.charges import Charges
from alphapanda.domain.charging import charges_of
from alphapanda.domain.instrument import Instrument
from alphapanda.domain.money import ZERO
from alphapanda.domain.positions import Position
from alphapanda.strategies.registry import Deployment


def summary(
    outcome: Outcome,
    deployments: Sequence[Deployment],
    instruments: Mapping[str, Instrument],
    rules: Rules,
    trades: Sequence[Trade],
) -> Document:
    desk, start = outcome.desk, rules.paper.starting_cash
    points = outcome.equity
    days = metrics.daily_equity(points)
    returns = metrics.daily_returns(start, days)
    drawdown = metrics.max_drawdown(points)
    unrealised = desk.unrealised(outcome.prices)
    gross = desk.realised + unrealised
    return {
        "strategies": [_deployment(item) for item in deployments],
        "instruments": sorted(instruments),
        "from": moment(points[0].at) if points else None,
        "to": moment(points[-1].at) if points else None,
        "days": len(days),
        "ticks": outcome.ticks,
        "starting_cash": rupees(start),
        "ending_equity": rupees(points[-1].equity) if points else None,
        "pnl": {
            "gross": rupees(gross),
            "charges": rupees(desk.charges),
            "net": rupees(gross - desk.charges),
            "realised": rupees(desk.realised),
            "unrealised": rupees(unrealised),
        },
        "return": None if not points else ratio(float((gross - desk.charges) / start)),
        "cagr": ratio(metrics.cagr(start, days)),
        "sharpe": ratio(metrics.sharpe(returns)),
        "sortino": ratio(metrics.sortino(returns)),
        "max_drawdown": _fall(drawdown),
        "exposure": {
            "average": ratio(metrics.average_exposure(points)),
            "most": rupees(max((point.exposure for point in points), default=None)),
            "time_in_market": ratio(metrics.time_in_market(points)),
        },
        "orders": _order_counts(desk.orders.values()),
        **_of_fills(desk.fills, trades, instruments, rules),
        "per_strategy": _per(outcome, trades, instruments, rules, by_strategy=True),
        "per_instrument": _per(outcome, trades, instruments, rules, by_strategy=False),
        "strategy_errors": dict(outcome.errors),
        "suspended": {name: list(found) for name, found in outcome.suspended.items()},
        "problems": dict(outcome.problems),
    }


def _of_fills(
    fills: Sequence[FillRecord], trades: Sequence[Trade], instruments: Mapping[str, Instrument], rules: Rules
) -> Document:
    """What trades and fills alone tell, of a run or of a part of it."""
    nets = [trade.net for trade in trades if trade.net is not None]
    won, lost = [net for net in nets if net > 0], [net for net in nets if net < 0]
    return {
        "trades": {
            "closed": len(nets),
            "open": len(trades) - len(nets),
            "won": len(won),
            "lost": len(lost),
            "win_rate": ratio(len(won) / len(nets) if nets else None),
            "profit_factor": ratio(float(sum(won) / -sum(lost)) if lost else None),
            "average_won": rupees(sum(won, ZERO) / len(won) if won else None),
            "average_lost": rupees(sum(lost, ZERO) / len(lost) if lost else None),
            "best": rupees(max(nets, default=None)),
            "worst": rupees(min(nets, default=None)),
        },
        "fills": len(fills),
        "turnover": rupees(sum((fill.trade.price * fill.trade.quantity for fill in fills), ZERO)),
        "charges": _charges(fills, instruments, rules),
    }


def _per(
    outcome: Outcome,
    trades: Sequence[Trade],
    instruments: Mapping[str, Instrument],
    rules: Rules,
    *,
    by_strategy: bool,
) -> list[Document]:
    """The same for each strategy, or each instrument, that had a fill."""
    fills: defaultdict[str, list[FillRecord]] = defaultdict(list)
    own: defaultdict[str, list[Trade]] = defaultdict(list)
    positions: defaultdict[str, list[tuple[str, Position]]] = defaultdict(list)
    for fill in outcome.desk.fills:
        fills[fill.order.signal.strategy_id if by_strategy else fill.trade.key].append(fill)
    for trade in trades:
        own[trade.strategy_id if by_strategy else trade.instrument].append(trade)
    for (strategy, key, _), position in outcome.desk.positions.items():
        positions[strategy if by_strategy else key].append((key, position))
    found = []
    for name in sorted(fills):
        charges = sum((fill.trade.charges for fill in fills[name]), ZERO)
        gross = _gross(positions[name], outcome.prices)
        found.append(
            {
                "strategy" if by_strategy else "instrument": name,
                "pnl": {
                    "gross": rupees(gross),
                    "charges": rupees(charges),
                    "net": rupees(None if gross is None else gross - charges),
                },
                **_of_fills(fills[name], own[name], instruments, rules),
            }
        )
    return found


def _gross(positions: Iterable[tuple[str, Position]], prices: Mapping[str, Decimal]) -> Decimal | None:
    total: Decimal = ZERO
    for key, position in positions:
        open_result = position.unrealised(prices.get(key))
        if open_result is None:
            return None
        total += position.realised + open_result
    return total


def _charges(fills: Iterable[FillRecord], instruments: Mapping[str, Instrument], rules: Rules) -> Document:
    """Charges by kind. Each fill's are worked out anew by the same table, which kept only their sum in the run."""
    sums = dict.fromkeys((item.name for item in fields(Charges)), Decimal(0))
    turnover: dict[str, Decimal] = {}
    for fill in fills:
        trade = fill.trade
        before = turnover.get(trade.broker_order_id, ZERO)
        items = charges_of(
            instruments[trade.key],
            side=trade.side,
            product=trade.product,
            quantity=trade.quantity,
            price=trade.price,
            day=trading_date(trade.traded_at),
            turnover_before=before,
            table=rules.charges,
        )
        turnover[trade.broker_order_id] = before + trade.price * trade.quantity
        for name in sums:
            sums[name] += getattr(items, name)
    return {**{name: rupees(amount) for name, amount in sums.items()}, "total": rupees(sum(sums.values(), ZERO))}


def _order_counts(orders: Iterable[OrderRecord]) -> Document:
    listed = list(orders)
    states = Counter(str(order.state) for order in listed)
    refused = Counter(str(order.why.code) for order in listed if order.state in ("DENIED", "INVALID", "REJECTED"))
    return {"made": len(listed), "by_state": dict(sorted(states.items())), "refused_for": dict(sorted(refused.items()))}


def _deployment(item: Deployment) -> Document:
    return {
        "strategy_id": item.strategy_id,
        "strategy": item.strategy.name,
        "version": item.strategy.version,
        "parameters": item.params.model_dump(mode="json"),
    }


def _fall(drawdown: metrics.Drawdown | None) -> Document | None:
    if drawdown is None:
        return None
    return {
        "amount": rupees(drawdown.amount),
        "share": ratio(drawdown.share),
        "from": moment(drawdown.peak_at),
        "to": moment(drawdown.trough_at),
    }
