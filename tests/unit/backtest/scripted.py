"""A strategy that does what a test tells it, and ticks to run it on."""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from alphapanda.backtest.desk import OrderRecord
from alphapanda.backtest.engine import Backtest, Outcome, Rules
from alphapanda.domain.ids import StrategyId
from alphapanda.domain.vocabulary import Side
from alphapanda.feed.instruments import cash_equity
from alphapanda.live.quotes import Tick
from alphapanda.settings import PaperSettings, RiskSettings
from alphapanda.strategies.contract import Fill, Intent, Strategy, StrategyParams
from alphapanda.strategies.registry import Deployment

INFY = cash_equity("INFY")
SBIN = cash_equity("SBIN")
OPEN = datetime(2024, 5, 21, 3, 45, tzinfo=UTC).timestamp()
"""09:15 in India, a Tuesday with trading."""

EXACT = PaperSettings(slippage_bps=Decimal(0))

Script = Callable[[Tick], Sequence[Intent]]
FillScript = Callable[[Fill], Sequence[Intent]]


def buy(quantity: int = 10, **terms: Any) -> Intent:
    return Intent(side=Side.BUY, quantity=quantity, reason="the test says so", **terms)


def sell(quantity: int = 10, **terms: Any) -> Intent:
    return Intent(side=Side.SELL, quantity=quantity, reason="the test says so", **terms)


def at(*moments: float, then: Iterable[Intent]) -> Script:
    """These intents on the ticks of those moments, in seconds after the open."""
    intents = tuple(then)
    return lambda tick: intents if tick.exchange_time - OPEN in moments else ()


def tick(seconds: float, price: float, volume: int | None = None, symbol: str = "INFY") -> Tick:
    return Tick(f"NSE:{symbol}", price, OPEN + seconds, OPEN + seconds, volume)


def scripted(script: Script, on_fill: FillScript | None = None, name: str = "scripted") -> Deployment:
    class Scripted(Strategy[StrategyParams]):
        version = "1"
        Params = StrategyParams

        def on_tick(self, tick: Tick) -> Sequence[Intent]:
            return script(tick)

    class Listening(Scripted):
        def on_fill(self, fill: Fill) -> Sequence[Intent]:
            assert on_fill is not None
            return on_fill(fill)

    kind = Scripted if on_fill is None else Listening
    kind.name = name
    return Deployment(kind, StrategyParams(), StrategyId(name))


def backtest(
    *deployments: Deployment, paper: PaperSettings = EXACT, risk: RiskSettings | None = None, **rules: Any
) -> Backtest:
    instruments = {INFY.key: INFY, SBIN.key: SBIN}
    return Backtest(deployments, instruments, Rules(paper=paper, risk=risk or RiskSettings(), **rules))


def run(ticks: Iterable[Tick], *deployments: Deployment, **settings: Any) -> Outcome:
    return backtest(*deployments, **settings).run(ticks)


def orders(outcome: Outcome) -> list[OrderRecord]:
    return list(outcome.desk.orders.values())


def prices(outcome: Outcome) -> list[Decimal]:
    return [fill.trade.price for fill in outcome.desk.fills]
