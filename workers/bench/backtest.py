"""`bench backtest`: ticks through router and strategies, market orders through clearance, exchange and books.

One thread, which waits for nothing: rates are per second of processor time, so that what else runs on the machine
blurs them less. The ticks are made beforehand. Medians of the rounds.
"""

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any

from alphapanda.backtest.engine import Backtest, Rules
from alphapanda.backtest.exchange import VirtualExchange
from alphapanda.domain.charges import ChargeTable
from alphapanda.domain.execution import OrderRequest
from alphapanda.domain.ids import Broker, OrderId, StrategyId, Tag
from alphapanda.domain.signal import OrderTerms
from alphapanda.domain.vocabulary import Exchange, OrderType, Product, Side
from alphapanda.feed.instruments import cash_equity
from alphapanda.live.quotes import Tick
from alphapanda.settings import PaperSettings, RiskSettings
from alphapanda.strategies.contract import Intent, Strategy, StrategyParams
from alphapanda.strategies.registry import Deployment, deploy

Say = Callable[[str], None]

_START = datetime(2026, 11, 19, 3, 45, tzinfo=UTC).timestamp()
_STEP_S = 0.1
_SEED = 7
_INFY = cash_equity("INFY")
_RULES = Rules(
    paper=PaperSettings(starting_cash=Decimal(10) ** 12),
    risk=RiskSettings(max_daily_loss=Decimal(10) ** 12),
    calendar=None,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is run: ticks a round, rounds, and the sizes at which the cost per order is measured."""

    ticks: int = 100_000
    rounds: int = 5
    sizes: tuple[int, ...] = (1_000, 10_000, 100_000)


class _Idle(Strategy[StrategyParams]):
    """Sees every tick and wants nothing."""

    name = "idle"
    version = "1"
    Params = StrategyParams

    def on_tick(self, tick: Tick) -> Sequence[Intent]:
        return ()


class _EveryTick(Strategy[StrategyParams]):
    """In on one tick, out on the next: an order a tick."""

    name = "every-tick"
    version = "1"
    Params = StrategyParams
    _IN, _OUT = ([Intent(side=side, quantity=10, reason="the benchmark's turn")] for side in (Side.BUY, Side.SELL))

    def __init__(self, params: StrategyParams, *instruments: Any) -> None:
        super().__init__(params, *instruments)
        self._long = False

    def on_tick(self, tick: Tick) -> Sequence[Intent]:
        self._long = not self._long
        return self._IN if self._long else self._OUT


def ticks(count: int) -> list[Tick]:
    """A random walk on the paisa grid of one instrument, ten quotes a second, the same on every run."""
    random, price, made = Random(_SEED), 150_000, []  # noqa: S311 - a price, not a secret
    for number in range(count):
        price = max(price + random.choice((-10, -5, 0, 5, 10)), 1000)
        at = _START + number * _STEP_S
        made.append(Tick(_INFY.key, price / 100, at, at, 100_000))
    return made


def run(plan: Plan, say: Say) -> dict[str, Any]:
    """All figures of one run."""
    walk = ticks(plan.ticks)
    idle = Deployment(_Idle, StrategyParams(), StrategyId("idle"))
    crossing = deploy("sma-cross", {"fast": 20, "slow": 100, "bar_seconds": None})
    noop, sma = [], []
    for number in range(plan.rounds):
        say(f"round {number + 1} of {plan.rounds}: {plan.ticks:,} ticks")
        noop.append(plan.ticks / _seconds(idle, walk)[0])
        seconds, orders = _seconds(crossing, walk)
        sma.append(plan.ticks / seconds)
    costs = {}
    for size in plan.sizes:
        say(f"{size:,} market orders")
        costs[size] = _order_cost(size, plan.rounds if size < plan.sizes[-1] else 1)
    core = statistics.median(_core_rate(plan.sizes[0] * 5) for _ in range(plan.rounds))
    return {
        "ticks": plan.ticks,
        "rounds": plan.rounds,
        "noop_ticks_per_second": round(statistics.median(noop)),
        "sma_ticks_per_second": round(statistics.median(sma)),
        "sma_orders": orders,
        "orders_per_second": round(1 / costs[plan.sizes[-1]]),
        "exchange_orders_per_second": round(core),
        "order_cost_us": {str(size): round(cost * 1e6, 1) for size, cost in costs.items()},
        "order_cost_last_to_first_size": round(costs[plan.sizes[-1]] / costs[plan.sizes[0]], 3),
    }


def _seconds(deployment: Deployment, walk: Sequence[Tick]) -> tuple[float, int]:
    """How long a backtest over the ticks takes, and the orders it made."""
    engine = Backtest([deployment], {_INFY.key: _INFY}, _RULES)
    gc.collect()
    began = time.process_time()
    outcome = engine.run(walk)
    return time.process_time() - began, len(outcome.desk.orders)


def _order_cost(size: int, rounds: int) -> float:
    """Seconds per market order, from signal to booked fill, in a run of `size` orders."""
    walk = ticks(size)
    every = Deployment(_EveryTick, StrategyParams(), StrategyId("every-tick"))
    found = []
    for _ in range(rounds):
        seconds, orders = _seconds(every, walk)
        if orders != size:
            raise RuntimeError(f"{orders} orders were made of {size}")
        found.append(seconds / size)
    return statistics.median(found)


def _core_rate(size: int) -> float:
    """Market orders per second in the paper exchange alone: placed, filled, charged, its account moved."""
    exchange = VirtualExchange(Broker("paper"), _RULES.paper, None, ChargeTable.packaged())
    terms = [
        OrderTerms(
            exchange=Exchange.NSE,
            tradingsymbol=_INFY.tradingsymbol,
            side=side,
            quantity=10,
            order_type=OrderType.MARKET,
            product=Product.MIS,
        )
        for side in (Side.BUY, Side.SELL)
    ]
    walk = ticks(size)
    requests = [
        OrderRequest(broker=Broker("paper"), order_id=OrderId(f"paper:{n}"), tag=Tag(f"T{n}"), terms=terms[n % 2])
        for n in range(size)
    ]
    began = time.process_time()
    for tick, request in zip(walk, requests, strict=True):
        exchange.place(request, _INFY, tick, tick.age_reference)
    return size / (time.process_time() - began)
