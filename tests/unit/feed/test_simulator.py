"""The simulator: the same for everyone, at any hour, and shaped like a session."""

import math
import time
from contextlib import aclosing
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from statistics import fmean, pstdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphapanda.domain.calendar import IST
from alphapanda.domain.ids import Broker
from alphapanda.domain.money import is_multiple
from alphapanda.feed.factory import build_strategies
from alphapanda.feed.instruments import cash_equity
from alphapanda.feed.router import StrategyRouter
from alphapanda.feed.simulated_prices import PricePath
from alphapanda.feed.simulated_symbols import profile_of, tick_size_at
from alphapanda.feed.simulator import SimulatorSource
from alphapanda.feed.source import FeedSourceError
from alphapanda.live.quotes import Tick
from alphapanda.settings import FeedSettings

NOON = datetime(2025, 10, 9, 12, 0, tzinfo=IST).timestamp()
SYMBOLS = ("INFY", "HDFCBANK", "MARUTI", "NEWNAME")


def simulator(*symbols: str, seed: int = 7, rate: float = 4.0) -> SimulatorSource:
    return SimulatorSource(symbols or SYMBOLS, seed=seed, ticks_per_second=rate, now=lambda: NOON)


def walk(source: SimulatorSource, start: float, seconds: float, rate: float = 4.0) -> list[Tick]:
    first = int(start * rate)
    return [tick for slot in range(first, first + int(seconds * rate)) for tick in source.ticks(slot, NOON)]


@settings(max_examples=30)
@given(st.integers(0, 3 * 86_400), st.lists(st.integers(0, 3 * 86_400), max_size=3))
def test_a_slot_has_the_same_ticks_whenever_the_simulator_started(offset: int, before: list[int]) -> None:
    fresh, travelled = simulator(), simulator()
    for other in before:
        travelled.ticks(int(NOON + other) * 4, NOON)
    slot = int(NOON + offset) * 4 + 1
    assert fresh.ticks(slot, NOON) == travelled.ticks(slot, NOON)


def test_another_seed_or_symbol_is_another_path() -> None:
    ticks = [walk(simulator("INFY", seed=seed), NOON, 10) for seed in (1, 2)]
    assert [tick.last_price for tick in ticks[0]] != [tick.last_price for tick in ticks[1]]
    first, second = (walk(simulator(name), NOON, 10) for name in ("AAA", "BBB"))
    assert [tick.volume for tick in first] != [tick.volume for tick in second]


def test_adding_a_symbol_changes_nothing_for_the_others() -> None:
    alone = walk(simulator("INFY"), NOON, 10)
    together = [tick for tick in walk(simulator(), NOON, 10) if tick.instrument == "NSE:INFY"]
    assert alone == together


def test_every_tick_lies_in_its_slot_on_the_grid_between_bid_and_ask() -> None:
    source = simulator()
    for slot in range(int(NOON) * 4, int(NOON) * 4 + 400):
        ticks = source.ticks(slot, NOON)
        assert [tick.exchange_time for tick in ticks] == sorted(tick.exchange_time for tick in ticks)
        for tick in ticks:
            assert slot / 4 <= tick.exchange_time < (slot + 1) / 4
            grid = source.instruments[tick.instrument].tick_size
            assert tick.bid is not None
            assert tick.ask is not None
            assert tick.bid < tick.ask
            assert tick.last_price in (tick.bid, tick.ask)
            assert all(is_multiple(Decimal(str(price)), grid) for price in (tick.last_price, tick.bid, tick.ask))
            assert tick.volume is not None
            assert tick.volume >= 25


def test_prices_run_through_midnight_and_the_open_without_a_break() -> None:
    path = PricePath(7, "INFY", profile_of("INFY"))
    for moment in (NOON.__floor__() // 86_400 * 86_400 + 66_600, NOON - 9_900):  # 00:00 and 09:15 IST
        assert datetime.fromtimestamp(moment, IST).strftime("%H:%M") in ("00:00", "09:15")
        around = [path.at(moment + step / 10) for step in range(-50, 50)]
        assert all(abs(math.log(b / a)) < 0.003 for a, b in pairwise(around))


def test_the_path_moves_as_much_as_its_profile_says() -> None:
    deviations = []
    for number in range(60):
        path = PricePath(number, "INFY", profile_of("INFY"))
        opens = NOON - 9_900
        deviations.append(math.log(path.at(opens + 22_500) / path.at(opens)))
    assert 0.6 < pstdev(deviations) / profile_of("INFY").session_volatility < 1.6


def test_the_open_and_the_close_are_busier_than_noon() -> None:
    def moved(start: float) -> float:
        paths = [PricePath(seed, "INFY", profile_of("INFY")) for seed in range(20)]
        return fmean(
            abs(math.log(path.at(start + step + 5) / path.at(start + step)))
            for path in paths
            for step in range(0, 600, 5)
        )

    def traded(start: float) -> float:
        return fmean(tick.volume or 0 for tick in walk(simulator("INFY"), start, 300))

    opens, closes = NOON - 9_900, NOON + 12_000
    assert moved(opens) > 1.8 * moved(NOON)
    assert traded(opens) > 2 * traded(NOON)
    assert traded(closes) > 2 * traded(NOON)


def test_it_quotes_at_night_as_it_does_at_noon() -> None:
    night = walk(simulator("INFY"), NOON - 9 * 3600, 300)
    assert len(night) == 1200
    assert len({tick.last_price for tick in night}) > 10


def test_a_price_stays_near_its_base_for_years() -> None:
    path = PricePath(7, "INFY", profile_of("INFY"))
    for day in range(0, 2000, 7):
        assert 0.8 < path.at(NOON + day * 86_400) / profile_of("INFY").base_price < 1.25


@pytest.mark.parametrize(
    ("price", "tick"),
    [(249, "0.01"), (250, "0.05"), (999, "0.05"), (1000, "0.1"), (5000, "0.5"), (12_000, "1"), (20_000, "5")],
)
def test_the_tick_size_follows_the_price(price: float, tick: str) -> None:
    assert tick_size_at(price) == Decimal(tick)


def test_a_loaded_instrument_brings_its_own_tick_size() -> None:
    loaded = cash_equity("INFY", tick_size=Decimal("0.5"))
    source = SimulatorSource(["INFY"], seed=7, ticks_per_second=4, now=lambda: NOON, known=[loaded])
    assert source.instruments["NSE:INFY"] is loaded
    assert all(tick.last_price % 0.5 == 0 for tick in walk(source, NOON, 20))


def test_no_symbols_are_refused() -> None:
    with pytest.raises(FeedSourceError, match="the simulator has no symbols"):
        SimulatorSource([], seed=7, ticks_per_second=4, now=lambda: NOON)


async def test_a_slot_is_given_once_it_is_over() -> None:
    source = SimulatorSource(["INFY"], seed=7, ticks_per_second=50, now=time.time)
    async with aclosing(source.batches()) as batches:
        for _ in range(3):
            (tick, *_) = await anext(batches)
            assert tick.exchange_time <= tick.received_at <= time.time()
    assert source.skipped == 0


async def test_slots_too_old_are_left_out_and_counted() -> None:
    clock = [NOON]
    source = SimulatorSource(["INFY", "SBIN"], seed=7, ticks_per_second=4, now=lambda: clock[0])
    async with aclosing(source.batches()) as batches:
        first = await anext(batches)
        assert source.skipped == 0
        clock[0] = NOON + 100
        second = await anext(batches)
    assert second[0].exchange_time >= NOON + 95
    missing = int((second[0].exchange_time - first[0].exchange_time) * 4)
    assert source.skipped in (2 * (missing - 1), 2 * missing)


@pytest.mark.parametrize("start", [NOON, NOON + 12 * 3600])
def test_at_default_settings_the_built_ins_trade_within_two_minutes_and_every_few(start: float) -> None:
    feed = FeedSettings()
    source = simulator(*feed.symbols)
    router = StrategyRouter(build_strategies(feed), source.instruments, [Broker("paper")])
    times: dict[str, list[float]] = {}
    for tick in walk(source, start, timedelta(minutes=20).total_seconds()):
        for signal in router.route(tick):
            times.setdefault(signal.strategy_id, []).append(tick.exchange_time - start)
    assert set(times) == {"sma-cross", "momentum-breakout"}
    assert min(min(found) for found in times.values()) < 120
    for found in times.values():
        assert max(b - a for a, b in pairwise([0.0, *found, 1200.0])) < 240
