"""Recorded NSE minutes through the live path: feed, strategies, real workflows, the exchange, and to real positions."""

import asyncio
import contextlib
import gzip
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from alphapanda.domain.ids import Broker
from alphapanda.domain.signal import Signal
from alphapanda.feed.factory import build_source, build_strategies
from alphapanda.feed.router import StrategyRouter
from alphapanda.settings import FeedSettings, FeedSource
from tests.conftest import SHARED
from tests.integration.processes import command, environment, running
from tests.integration.whole_desk import WholeDesk, differences, whole_desk

SYMBOLS = ("INFY", "HDFCBANK")
SESSIONS = 2
RECORDINGS = [SHARED / f"data/minute/{symbol}.csv.gz" for symbol in SYMBOLS]

pytestmark = [
    pytest.mark.skipif(not all(path.is_file() for path in RECORDINGS), reason="the recordings are not here"),
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The first sessions of each recording, under its name."""
    folder = tmp_path_factory.mktemp("recordings")
    return [_first_sessions(path, folder / path.name) for path in RECORDINGS]


def _first_sessions(source: Path, target: Path) -> Path:
    days: set[str] = set()
    with gzip.open(source, "rt") as whole, gzip.open(target, "wt") as part:
        part.write(next(whole))
        for line in whole:
            days.add(line[:10])
            if len(days) > SESSIONS:
                break
            part.write(line)
    return target


@pytest.fixture(scope="module")
async def wanted(files: list[Path]) -> dict[str, Signal]:
    """What the strategies say to the recordings, by signal id: asked directly, with nothing running."""
    feed = FeedSettings(source=FeedSource.REPLAY, files=tuple(files))
    source = build_source(feed, (), now=time.time)
    assert source is not None
    router = StrategyRouter(build_strategies(feed), source.instruments, (Broker("paper"),))
    found = [signal async for batch in source.batches() for tick in batch for signal in router.route(tick)]
    assert len({signal.signal_id for signal in found}) == len(found)
    return {str(signal.signal_id): signal for signal in found}


@pytest.fixture(scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WholeDesk]:
    async with whole_desk(tmp_path_factory.mktemp("desk"), "--no-feed") as started:
        yield started


async def replay(desk: WholeDesk, files: list[Path], folder: Path, *, workers: int = 1) -> None:
    """The recordings, to their end, through that many feed workers at once."""
    variables = environment(
        DATA_DIR=str(desk.data), FEED__SOURCE="replay", FEED__FILES=",".join(str(path) for path in files)
    )
    with contextlib.ExitStack() as feeds:
        argv = command("workers.run", "--only", "feed")
        started = [feeds.enter_context(running(argv, folder / f"feed-{n}", variables)) for n in range(workers)]
        for feed in started:
            assert await asyncio.to_thread(feed.ended) == 0, feed.output()
            assert "state=FINISHED" in feed.output()


async def counts(desk: WholeDesk) -> tuple[int, ...]:
    [row] = await desk.rows(
        "SELECT (SELECT count(*) FROM signals), (SELECT count(*) FROM orders), (SELECT count(*) FROM order_events), "
        "(SELECT count(*) FROM fills), (SELECT count(*) FROM paper_orders), (SELECT count(*) FROM paper_trades), "
        "(SELECT version FROM portfolios)"
    )
    return tuple(row)


async def test_recordings_become_orders_and_positions_once_whoever_replays_them_and_how_often(
    desk: WholeDesk, files: list[Path], wanted: dict[str, Signal], tmp_path: Path
) -> None:
    assert len(wanted) > 100
    await replay(desk, files, tmp_path, workers=2)
    order_ids = [f"paper:{signal_id}" for signal_id in wanted]
    await desk.all_ended(order_ids)

    accepted = {row.signal_id: row for row in await desk.rows("SELECT * FROM signals")}
    assert accepted.keys() == wanted.keys()
    for signal_id, signal in wanted.items():
        row = accepted[signal_id]
        assert (row.strategy_id, row.tradingsymbol, row.side, row.quantity) == (
            signal.strategy_id,
            signal.tradingsymbol,
            signal.side,
            signal.quantity,
        )
        assert row.metadata["reason"] == signal.metadata["reason"]

    orders = {row.order_id: row for row in await desk.rows("SELECT * FROM orders")}
    assert sorted(orders) == sorted(order_ids)
    unfilled = {order_id: row.reason for order_id, row in orders.items() if row.state != "FILLED"}
    assert unfilled == {}
    assert await differences(desk.engine) == {}

    held = {
        (p["strategy_id"], p["tradingsymbol"]): p["quantity"] for p in await desk.items("/positions", by="strategy")
    }
    meant: dict[tuple[str, str], int] = {}
    for signal in wanted.values():
        key = (signal.strategy_id, signal.tradingsymbol)
        meant[key] = meant.get(key, 0) + signal.side.sign * signal.quantity
    assert held == meant

    before = await counts(desk)
    await replay(desk, files, tmp_path)
    assert await counts(desk) == before
    assert await differences(desk.engine) == {}
