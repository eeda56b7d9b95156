"""The same recorded minutes through a backtest and through the live path give the same orders and the same fills.

The live path is all there: the feed's runner on the replay source, real workflows, the ledger, the paper exchange and
its matching. It is replayed a tick at a time, each order being at the exchange before the next tick is published, as
in a market that leaves it the time; a replay at full speed hands out a minute of ticks at once, and its orders meet
the last of them.
"""

import gzip
import time
from collections.abc import AsyncGenerator, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from alphapanda.backtest.engine import Backtest, Outcome, Rules
from alphapanda.backtest.recordings import Recordings
from alphapanda.domain.calendar import trading_date
from alphapanda.domain.ids import StrategyId, order_id
from alphapanda.domain.signal import Signal
from alphapanda.domain.states import BEFORE_THE_WIRE, OrderState
from alphapanda.domain.vocabulary import OrderType, Side
from alphapanda.feed.replay import ReplaySource
from alphapanda.feed.runner import FeedRunner
from alphapanda.ledger.instruments import save_instruments
from alphapanda.live import quotes
from alphapanda.live.quotes import Tick, exact
from alphapanda.strategies.contract import Intent, Strategy, StrategyParams
from alphapanda.strategies.registry import Deployment, deploy
from tests.conftest import SHARED
from tests.rehearsal import PAPER, Rehearsal

SYMBOLS = ("HDFCBANK", "MARUTI")
RECORDINGS = [SHARED / f"data/minute/{symbol}.csv.gz" for symbol in SYMBOLS]
MINUTES = 90

pytestmark = pytest.mark.skipif(not all(path.is_file() for path in RECORDINGS), reason="the recordings are not here")

ON_THE_WAY = BEFORE_THE_WIRE | {OrderState.SUBMITTING, OrderState.UNKNOWN}
AT_THE_EXCHANGE = tuple(state for state in OrderState if state not in ON_THE_WAY)


class Resting(Strategy[StrategyParams]):
    """Every ten minutes a limit below the market, a stop above it, and more than the risk rules let pass for long."""

    name = "resting"
    version = "1"
    Params = StrategyParams

    def on_tick(self, tick: Tick) -> Sequence[Intent]:
        if tick.exchange_time % 600:
            return ()
        price = exact(tick.last_price)
        step = price // 1000
        return [
            Intent(side=Side.BUY, quantity=3, reason="a limit", order_type=OrderType.LIMIT, price=price - step),
            Intent(side=Side.BUY, quantity=2, reason="a stop", order_type=OrderType.SL_M, trigger_price=price + step),
            Intent(side=Side.SELL, quantity=1000, reason="a lot"),
        ]


DEPLOYMENTS = (
    deploy("sma-cross", {"fast": 2, "slow": 5, "bar_seconds": 60}),
    deploy("momentum-breakout", {"entry_bars": 5, "exit_bars": 3, "bar_seconds": 60}),
    Deployment(Resting, StrategyParams(), StrategyId("resting")),
)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """The first minutes of the first session, moved to this day: charges are those of the day of the trade."""
    return [_moved(path, tmp_path / path.name) for path in RECORDINGS]


def _moved(source: Path, target: Path) -> Path:
    today = trading_date(datetime.now(UTC)).isoformat()
    with gzip.open(source, "rt") as whole, gzip.open(target, "wt") as part:
        part.write(next(whole))
        for _ in range(MINUTES):
            part.write(today + next(whole)[10:])
    return target


class TickByTick(ReplaySource):
    """The replay with every tick on its own, so that each order meets the tick that caused it."""

    async def batches(self) -> AsyncGenerator[Sequence[Tick], None]:
        async for batch in super().batches():
            for tick in batch:
                now = time.time()
                yield [Tick(tick.instrument, tick.last_price, tick.exchange_time, now, tick.volume)]


async def live(desk: Rehearsal, files: Iterable[Path]) -> list[Signal]:
    """The signals of a replay through the live path, all of whose orders reached the exchange in their time."""
    source = TickByTick(files, speed=0, now=time.time)
    async with desk.engine.begin() as connection:
        await save_instruments(
            connection, source.instruments.values(), source="replay", as_of=trading_date(datetime.now(UTC))
        )
    signals: list[Signal] = []

    async def emit(signal: Signal) -> None:
        await desk.desk.accept(signal, correlation_id=uuid4().hex)
        await desk.until(order_id(PAPER, signal.signal_id), *AT_THE_EXCHANGE)
        signals.append(signal)

    publish = partial(quotes.publish, desk.redis)
    await FeedRunner(source, DEPLOYMENTS, publish, emit, (PAPER,), time.time).run()
    return signals


async def rows(desk: Rehearsal, query: str) -> list[Any]:
    async with desk.engine.connect() as connection:
        return list((await connection.execute(text(query))).all())


def ours(outcome: Outcome) -> tuple[set[Any], dict[str, list[Any]]]:
    orders = {
        (order.order_id, order.signal.side, order.signal.quantity, str(order.state), order.progress.filled_quantity,
         str(order.why.code))
        for order in outcome.desk.orders.values()
    }  # fmt: skip
    fills: dict[str, list[Any]] = {}
    for fill in outcome.desk.fills:
        trade = fill.trade
        fills.setdefault(fill.order.order_id, []).append((trade.side, trade.quantity, trade.price, trade.charges))
    return orders, fills


async def theirs(desk: Rehearsal) -> tuple[set[Any], dict[str, list[Any]]]:
    orders = {
        (row.order_id, row.side, row.quantity, row.state, row.filled_quantity, row.reason_code)
        for row in await rows(desk, "SELECT * FROM orders")
    }
    fills: dict[str, list[Any]] = {}
    for row in await rows(desk, "SELECT * FROM fills ORDER BY trade_id"):
        fills.setdefault(row.order_id, []).append((row.side, row.quantity, row.price, row.charges))
    return orders, fills


async def test_a_backtest_and_the_live_path_make_the_same_orders_and_the_same_fills(
    rehearsal: Rehearsal, files: list[Path]
) -> None:
    recordings = Recordings(files)
    rules = Rules(paper=rehearsal.settings.paper, risk=rehearsal.settings.risk, calendar=None)
    outcome = Backtest(DEPLOYMENTS, recordings.instruments, rules).run(recordings.ticks())
    orders, fills = ours(outcome)
    signals = await live(rehearsal, files)

    assert {order_id(PAPER, signal.signal_id) for signal in signals} == set(outcome.desk.orders)
    deadline = time.monotonic() + 60
    while (found := await theirs(rehearsal)) != (orders, fills) and time.monotonic() < deadline:
        await rehearsal.reconcile()  # fills of resting orders are booked when their workflows hear of them
    assert found[0] == orders
    assert found[1] == fills

    states = {order[3] for order in orders}
    assert {"FILLED", "OPEN", "DENIED"} <= states
    assert len(orders) > 60
    held = {
        (row.strategy_id, f"{row.exchange}:{row.tradingsymbol}"): (row.quantity, row.cost, row.realised, row.charges)
        for row in await rows(rehearsal, "SELECT * FROM positions")
    }
    assert held == {
        (strategy, key): (position.quantity, position.cost, position.realised, _paid(outcome, strategy, key))
        for (strategy, key, _), position in outcome.desk.positions.items()
    }


def _paid(outcome: Outcome, strategy: str, key: str) -> Decimal:
    paid = (
        fill.trade.charges
        for fill in outcome.desk.fills
        if (fill.order.signal.strategy_id, fill.trade.key) == (strategy, key)
    )
    return sum(paid, Decimal(0))
