"""Replay of real recordings: eight NSE shares by the minute, and real Kite ticks of an index and two options."""

import csv
import gzip
import time
import tracemalloc
from pathlib import Path

import pytest

from alphapanda.feed.replay import ReplaySource
from alphapanda.live.quotes import Tick
from tests.conftest import SHARED

MINUTE = sorted((SHARED / "data/minute").glob("*.csv.gz"))
TICKS = sorted((SHARED / "data/ticks").glob("*.csv.gz"))

pytestmark = pytest.mark.skipif(not (MINUTE and TICKS), reason="the recordings are not here")


def rows_of(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt") as file:
        return list(csv.DictReader(file))


async def test_every_bar_becomes_four_ticks_with_its_volume_and_its_prices() -> None:
    path = MINUTE[0]
    rows = rows_of(path)
    bar: list[Tick] = []
    count = 0
    async for batch in ReplaySource([path], speed=0, now=time.time).batches():
        for tick in batch:
            bar.append(tick)
            if len(bar) == 4:
                row = rows[count]
                prices = [one.last_price for one in bar]
                assert (prices[0], prices[-1]) == (float(row["open"]), float(row["close"]))
                assert (max(prices), min(prices)) == (float(row["high"]), float(row["low"]))
                assert sum(one.volume or 0 for one in bar) == int(row["volume"])
                count += 1
                bar = []
    assert bar == []
    assert count == len(rows) == 42_750


async def test_several_recordings_come_merged_by_time_and_whole() -> None:
    paths = MINUTE[:3]
    counts: dict[str, int] = {}
    before = 0.0
    async for batch in ReplaySource(reversed(paths), speed=0, now=time.time).batches():
        for tick in batch:
            assert tick.exchange_time >= before
            before = tick.exchange_time
            counts[tick.instrument] = counts.get(tick.instrument, 0) + 1
    assert counts == {f"NSE:{path.name.partition('.')[0]}": 4 * 42_750 for path in paths}


async def test_a_replay_holds_a_row_of_each_file_in_memory_not_the_files() -> None:
    source = ReplaySource(MINUTE, speed=0, now=time.time)
    seen = 0
    tracemalloc.start()
    try:
        async for batch in source.batches():
            seen += len(batch)
            if seen > 20_000:
                break
        assert tracemalloc.get_traced_memory()[1] < 8_000_000  # the files alone are 20 MB of text
    finally:
        tracemalloc.stop()


async def test_recorded_ticks_come_as_they_were_recorded() -> None:
    source = ReplaySource(TICKS, speed=0, now=time.time)
    assert {key: str(item.instrument_type) for key, item in source.instruments.items()} == {
        "NFO:CALL_10923266": "CE",
        "NSE:NIFTY50": "INDEX",
        "NFO:PUT_10929666": "PE",
    }
    prices: dict[str, list[float]] = {}
    before = 0.0
    async for batch in source.batches():
        for tick in batch:
            assert tick.exchange_time >= before
            assert tick.volume is None
            before = tick.exchange_time
            prices.setdefault(tick.instrument, []).append(tick.last_price)
    recorded = [[float(row["ltp"]) for row in rows_of(path)] for path in TICKS]
    assert [prices[key] for key in source.instruments] == recorded
    assert sum(len(found) for found in recorded) == 28_148
