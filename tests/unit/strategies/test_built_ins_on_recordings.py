"""Every built-in over recorded sessions of two banks: no error, no id twice, no day that does not end flat."""

from collections import Counter
from contextlib import aclosing
from pathlib import Path

import pytest

from alphapanda.domain.ids import Broker
from alphapanda.feed.replay import ReplaySource
from alphapanda.feed.router import StrategyRouter
from alphapanda.strategies.indicators import indian_day
from alphapanda.strategies.intraday import Intraday
from alphapanda.strategies.registry import BUILT_IN, deploy_all

RECORDINGS = Path(__file__).resolve().parents[4] / "shared" / "data" / "minute"
FILES = [RECORDINGS / f"{symbol}.csv.gz" for symbol in ("HDFCBANK", "ICICIBANK")]
TICKS = 2 * 4 * 375 * 15
"""Of two symbols, four a minute, over fifteen sessions."""

pytestmark = pytest.mark.skipif(not all(file.is_file() for file in FILES), reason="the recordings are not here")


async def test_every_built_in_trades_recorded_sessions_without_an_error() -> None:
    source = ReplaySource(FILES, speed=0, now=lambda: 1_800_000_000.0)
    deployed = deploy_all(BUILT_IN, defaults={"bar_seconds": 60})
    router = StrategyRouter(deployed, source.instruments, (Broker("paper"),))
    intraday = {item.strategy_id for item in deployed if issubclass(item.strategy, Intraday)}
    traded: Counter[str] = Counter()
    held: Counter[tuple[str, str]] = Counter()
    ids: set[str] = set()
    day, seen = None, 0
    async with aclosing(source.batches()) as batches:
        async for batch in batches:
            for tick in batch:
                if indian_day(tick.exchange_time) != day:
                    day = indian_day(tick.exchange_time)
                    assert [key for key, quantity in held.items() if quantity and key[0] in intraday] == []
                for signal in router.route(tick):
                    traded[signal.strategy_id] += 1
                    held[signal.strategy_id, signal.instrument] += signal.side.sign * signal.quantity
                    ids.add(signal.signal_id)
            seen += len(batch)
            if seen >= TICKS:
                break
    assert (dict(router.errors), router.suspended) == ({}, {})
    assert set(traded) == set(BUILT_IN)
    assert len(ids) == traded.total()
    assert {abs(quantity) for quantity in held.values()} <= {0, 10}
