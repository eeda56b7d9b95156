"""The replay source: merging, batching, pacing, and which instruments a recording stands for."""

import asyncio
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from alphapanda.domain.instrument import InstrumentType
from alphapanda.domain.vocabulary import Exchange
from alphapanda.feed.instruments import cash_equity, made_up_token
from alphapanda.feed.replay import ReplaySource
from alphapanda.feed.replay_files import ReplayFileError
from alphapanda.live.quotes import Tick

BARS = "timestamp,open,high,low,close,volume\n"
AT = 1716263100.0  # 2024-05-21 09:15 IST
NOW = 1_800_000_000.0


def bars(folder: Path, symbol: str, minutes: list[int], price: int = 100) -> Path:
    path = folder / f"{symbol}.csv"
    rows = (f"2024-05-21 09:{15 + m}:00,{price},{price + 2},{price - 1},{price + 1},10\n" for m in minutes)
    path.write_text(BARS + "".join(rows))
    return path


def source(*paths: Path, speed: float = 0.0) -> ReplaySource:
    return ReplaySource(paths, speed=speed, now=lambda: NOW)


async def all_ticks(replay: ReplaySource) -> list[Tick]:
    return [tick async for batch in replay.batches() for tick in batch]


async def test_files_are_merged_by_time_in_whatever_order_they_are_named(tmp_path: Path) -> None:
    first, second = bars(tmp_path, "INFY", [0, 1, 5]), bars(tmp_path, "AXISBANK", [1, 2], 500)
    ticks = await all_ticks(source(first, second))
    assert ticks == await all_ticks(source(second, first))
    assert len(ticks) == 20
    times = [tick.exchange_time for tick in ticks]
    assert times == sorted(times)
    assert [tick.instrument for tick in ticks[4:6]] == ["NSE:AXISBANK", "NSE:INFY"]


async def test_ticks_keep_the_recorded_time_and_are_received_now(tmp_path: Path) -> None:
    ticks = await all_ticks(source(bars(tmp_path, "INFY", [0])))
    assert [tick.exchange_time - AT for tick in ticks] == [0, 20, 40, 59]
    assert {tick.received_at for tick in ticks} == {NOW}
    assert sum(tick.volume or 0 for tick in ticks) == 10


async def test_without_pace_a_batch_covers_less_than_a_minute_and_the_consumer_sets_it(tmp_path: Path) -> None:
    replay = source(*(bars(tmp_path, f"S{number}", list(range(5))) for number in range(3)))
    assert replay.in_lockstep
    async for batch in replay.batches():
        assert len(batch) <= 64
        assert batch[-1].exchange_time - batch[0].exchange_time < 60


async def test_at_a_set_speed_recorded_time_takes_real_time(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    replay = source(bars(tmp_path, "INFY", [0, 1]), speed=600)
    assert not replay.in_lockstep
    begun = loop.time()
    assert len(await all_ticks(replay)) == 8
    assert loop.time() - begun >= 60 / 600  # a lower bound holds on any machine


async def test_a_long_silence_is_waited_for_as_a_minute(tmp_path: Path) -> None:
    path = tmp_path / "INFY.csv"
    path.write_text(BARS + "2024-05-21 15:29:00,1,1,1,1,4\n2024-05-22 09:15:00,1,1,1,1,4\n")
    async with asyncio.timeout(60):  # the night itself would take 106 seconds at this speed
        assert len(await all_ticks(source(path, speed=600))) == 8


async def test_a_bad_row_ends_the_replay_after_the_whole_rows_before_it_and_what_came_with_them(tmp_path: Path) -> None:
    good = bars(tmp_path, "INFY", [0, 1, 2])
    bad = bars(tmp_path, "AXISBANK", [0])
    bad.write_text(bad.read_text() + "2024-05-21 09:16:00,1,2,3\n")
    ticks: list[Tick] = []
    with pytest.raises(ReplayFileError, match="line 3"):
        async for batch in source(good, bad).batches():
            ticks += batch
    assert [tick.instrument for tick in ticks].count("NSE:AXISBANK") == 4
    assert [tick.instrument for tick in ticks].count("NSE:INFY") == 3


def test_a_recorded_share_is_an_nse_share_with_a_token_that_is_never_a_real_one(tmp_path: Path) -> None:
    instrument = source(bars(tmp_path, "INFY", [0])).instruments["NSE:INFY"]
    assert (instrument.exchange, instrument.segment, instrument.instrument_type) == ("NSE", "NSE_EQ", "EQ")
    assert (instrument.tick_size, instrument.lot_size) == (Decimal("0.05"), 1)
    assert instrument.instrument_token == made_up_token("NSE:INFY") > 1 << 32


@pytest.mark.parametrize(
    ("name", "token", "exchange", "kind"),
    [
        ("ticks_NIFTY50_256265_20251009", 256265, "NSE", InstrumentType.INDEX),
        ("ticks_CALL_10923266_10923266_20251009", 10923266, "NFO", InstrumentType.CALL),
        ("ticks_PUT_10929666_10929666_20251009", 10929666, "NFO", InstrumentType.PUT),
        ("NIFTY25OCTFUT_10929666", 10929666, "NFO", InstrumentType.FUTURE),
        ("INFY_408065", 408065, "NSE", InstrumentType.EQUITY),
    ],
)
def test_a_token_nobody_knows_tells_the_kind_of_its_instrument(
    tmp_path: Path, name: str, token: int, exchange: str, kind: InstrumentType
) -> None:
    path = tmp_path / f"{name}.csv"
    path.write_text(f"timestamp,token,ltp\n2025-10-09 10:00:00,{token},216.85\n")
    (instrument,) = source(path).instruments.values()
    assert (instrument.exchange, instrument.instrument_type, instrument.instrument_token) == (exchange, kind, token)


async def test_an_instrument_of_the_ledger_wins_over_the_name_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "ticks_CALL_10923266_10923266_20251009.csv"
    path.write_text("timestamp,token,ltp\n2025-10-09 10:00:00,10923266,216.85\n")
    option = replace(cash_equity("NIFTY25O1425000CE"), exchange=Exchange.NFO, instrument_token=10923266, lot_size=75)
    replay = ReplaySource([path], speed=0, now=lambda: NOW, known=[option])
    assert dict(replay.instruments) == {"NFO:NIFTY25O1425000CE": option}
    assert [tick.instrument for tick in await all_ticks(replay)] == ["NFO:NIFTY25O1425000CE"]
