"""The built-ins that end each day flat: when they enter, when they leave, and what they never do."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapanda.domain.instrument import Instrument, InstrumentType
from alphapanda.domain.vocabulary import Exchange, Product, Side
from alphapanda.feed.bars import Bar
from alphapanda.live.quotes import Tick
from alphapanda.strategies.contract import Intent, Strategy, Warmup
from alphapanda.strategies.registry import deploy

INFY = Instrument(Exchange.NSE, "INFY", 408065, InstrumentType.EQUITY, "NSE_EQ", Decimal("0.05"), 1)
SBIN = replace(INFY, tradingsymbol="SBIN", lot_size=25)
OPEN = 1_759_981_500  # 2025-10-09 09:15 IST
DAY_S = 86_400
CLOSE_MINUTE = 360  # 15:15, when a day's trading ends by default
BUY, SELL = Side.BUY, Side.SELL

walks = st.lists(st.integers(-20, 20), min_size=1, max_size=400).map(
    lambda steps: [max(1.0, round(1000 + 0.05 * sum(steps[: index + 1]), 2)) for index in range(len(steps))]
)


def made(name: str, *instruments: Instrument, **params: Any) -> Strategy[Any]:
    deployment = deploy(name, params)
    return deployment.strategy(deployment.params, *(instruments or (INFY,)))


def bar(minute: int, close: float, *, key: str = "NSE:INFY", volume: int | None = 100, **shape: float) -> Bar:
    high, low = shape.get("high", close), shape.get("low", close)
    return Bar(key, OPEN + minute * 60, 60, close, high, low, close, volume, 4, 0)


def tick(minute: float, price: float) -> Tick:
    return Tick("NSE:INFY", price, OPEN + minute * 60, OPEN + minute * 60, 10)


def sides(intents: Iterable[Intent]) -> list[Side]:
    return [intent.side for intent in intents]


def on_closes(strategy: Strategy[Any], closes: Sequence[float], first: int = 0) -> list[list[Side]]:
    return [sides(strategy.on_bar(bar(first + index, close))) for index, close in enumerate(closes)]


def moments(strategy: Strategy[Any], closes: Sequence[float], first: int = 0) -> dict[int, Side]:
    """Where it traded."""
    return {index: side[0] for index, side in enumerate(on_closes(strategy, closes, first)) if side}


class TestRsiReversion:
    def rsi(self, **params: Any) -> Strategy[Any]:
        return made("rsi-reversion", window=2, **params)

    def test_it_buys_when_the_rsi_falls_below_and_sells_when_it_has_recovered(self) -> None:
        # RSI(2): 100, then 50, 25, 12.5 with each equal fall; a rise of 8 takes it over 55.
        assert moments(self.rsi(), [10, 11, 12, 11, 10, 9, 17, 18]) == {4: BUY, 6: SELL}

    def test_what_is_oversold_from_the_start_is_not_bought(self) -> None:
        assert moments(self.rsi(), [10, 9, 8, 7, 6]) == {}

    def test_it_says_why(self) -> None:
        strategy = self.rsi()
        (intent,) = [
            one for index, close in enumerate([10, 11, 12, 11, 10]) for one in strategy.on_bar(bar(index, close))
        ]
        assert (intent.quantity, intent.product, intent.reason) == (10, Product.MIS, "RSI(2) 25.0 fell below 30")

    def test_a_recovery_that_is_not_above_oversold_is_refused(self) -> None:
        with pytest.raises(Exception, match=r"recovered: 30 must be above oversold \(30\)"):
            made("rsi-reversion", recovered=30, oversold=30)


class TestBollingerReversion:
    def test_it_buys_below_the_lower_band_and_sells_at_the_average(self) -> None:
        strategy = made("bollinger-reversion", window=4, width=1.5)
        # After 90: mean 97.5, deviation 4.33, lower band 91.0. After 97: mean 96.75.
        assert moments(strategy, [100, 100, 100, 100, 90, 95, 97, 99]) == {4: BUY, 6: SELL}

    def test_prices_that_do_not_move_are_not_traded(self) -> None:
        assert moments(made("bollinger-reversion", window=4), [100.0] * 20) == {}


class TestVwapReversion:
    def test_it_buys_far_below_the_vwap_and_sells_at_it(self) -> None:
        strategy = made("vwap-reversion", window=4, width=1.5)
        assert moments(strategy, [100, 101, 100, 101, 100, 90, 95, 99, 102]) == {5: BUY, 7: SELL}

    def test_without_volume_it_trades_nothing(self) -> None:
        strategy = made("vwap-reversion", window=4, width=1.5)
        closes = [100, 101, 100, 101, 100, 90, 95, 99, 102]
        assert not any(strategy.on_bar(bar(index, close, volume=None)) for index, close in enumerate(closes))

    def test_a_new_day_begins_with_nothing_of_the_day_before(self) -> None:
        strategy = made("vwap-reversion", window=4, width=1.5)
        on_closes(strategy, [500, 501, 500, 501, 500])
        assert moments(strategy, [100, 101, 100, 101, 100, 90], first=24 * 60) == {5: BUY}


class TestOpeningRange:
    def opened(self, strategy: Strategy[Any], first: int = 0) -> Strategy[Any]:
        for index, (high, low) in enumerate(((101, 99), (103, 98), (102, 97))):
            assert strategy.on_bar(bar(first + index, 100, high=high, low=low)) == ()
        return strategy

    def orb(self, **params: Any) -> Strategy[Any]:
        return made("opening-range", range_minutes=3, **params)

    def test_it_buys_the_first_tick_above_the_range_once_a_day_and_stops_below_it(self) -> None:
        strategy = self.opened(self.orb())
        prices = (103, 103.05, 120, 97, 96.95, 104, 105)
        answers = [sides(strategy.on_tick(tick(3 + index / 10, price))) for index, price in enumerate(prices)]
        assert answers == [[], [BUY], [], [], [SELL], [], []]

    def test_nothing_is_bought_while_the_range_forms(self) -> None:
        strategy = self.orb()
        strategy.on_bar(bar(0, 100, high=101, low=99))
        assert strategy.on_tick(tick(1.5, 110)) == ()

    def test_bars_after_the_range_do_not_widen_it(self) -> None:
        strategy = self.opened(self.orb())
        strategy.on_bar(bar(3, 100, high=200, low=1))
        assert sides(strategy.on_tick(tick(4, 103.05))) == [BUY]

    def test_a_feed_that_began_after_the_open_trades_nothing_that_day_and_the_next_day_it_does(self) -> None:
        strategy = self.orb()
        strategy.on_bar(bar(1, 100, high=101, low=99))
        strategy.on_bar(bar(2, 100, high=101, low=99))
        assert strategy.on_tick(tick(4, 150)) == ()
        # Tomorrow's first minute has no trade; the range is known all the same.
        self.opened(strategy, first=24 * 60 + 1)
        assert sides(strategy.on_tick(tick(24 * 60 + 4, 104))) == [BUY]

    def test_after_the_last_entry_time_it_enters_no_more(self) -> None:
        strategy = self.opened(self.orb(last_entry="10:00"))
        assert strategy.on_tick(tick(45, 150)) == ()

    def test_a_tick_of_the_next_day_is_not_held_against_yesterdays_range(self) -> None:
        strategy = self.opened(self.orb())
        assert strategy.on_tick(tick(24 * 60, 150)) == ()

    @pytest.mark.parametrize(
        ("params", "said"),
        [
            ({"range_minutes": 1, "bar_seconds": 3600}, r"bar_seconds: 3600 must divide range_minutes \(1\)"),
            ({"last_entry": "09:20"}, "last_entry: must not lie before the end of the opening range"),
            ({"last_entry": "15:20"}, "last_entry: must not lie after flat_by"),
        ],
    )
    def test_times_out_of_order_are_refused(self, params: dict[str, Any], said: str) -> None:
        with pytest.raises(Exception, match=said):
            made("opening-range", **params)


class TestPairs:
    params: dict[str, Any] = {  # noqa: RUF012 - read only
        "first": "NSE:INFY", "second": "NSE:SBIN", "ratio": 2.0, "window": 4,
        "enter_z": 1.2, "exit_z": 0.5, "stop_z": 1.7,
    }  # fmt: skip

    def pairs(self, **params: Any) -> Strategy[Any]:
        return made("pairs", INFY, SBIN, **{**self.params, **params})

    def spreads(self, strategy: Strategy[Any], spreads: Sequence[float], first: int = 0) -> dict[int, list[str]]:
        """Where it traded what, with the second leg always at 100."""
        found = {}
        for index, spread in enumerate(spreads):
            minute = first + index
            intents = [
                *strategy.on_bar(bar(minute, 200 + spread)),
                *strategy.on_bar(bar(minute, 100, key="NSE:SBIN")),
            ]
            if intents:
                found[index] = [f"{intent.side} {intent.quantity} {intent.instrument}" for intent in intents]
        return found

    def test_it_sells_the_dear_leg_and_buys_the_cheap_one_and_reverses_at_the_mean(self) -> None:
        # z after 3: (3 - 1) / 1.22 = 1.63; after 1: within half a deviation of the mean of 0, 1, 3, 1.
        assert self.spreads(self.pairs(), [0, 1, 0, 3, 1]) == {
            3: ["SELL 10 NSE:INFY", "BUY 25 NSE:SBIN"],
            4: ["BUY 10 NSE:INFY", "SELL 25 NSE:SBIN"],
        }

    def test_a_cheap_first_leg_is_bought(self) -> None:
        assert self.spreads(self.pairs(), [0, -1, 0, -3])[3] == ["BUY 10 NSE:INFY", "SELL 25 NSE:SBIN"]

    def test_beyond_the_stop_it_does_not_enter(self) -> None:
        assert self.spreads(self.pairs(), [0, 0, 0, 9]) == {}  # 1.73 deviations, beyond 1.7

    def test_beyond_the_stop_it_leaves_and_waits_for_the_spread_to_come_back(self) -> None:
        strategy = self.pairs(window=8, enter_z=1.2, stop_z=2.2)
        traded = self.spreads(strategy, [0, 1, 0, 1, 0, 1, 0, 1.5, 8, 5, 5.5])
        assert list(traded) == [7, 8]
        assert traded[8] == ["BUY 10 NSE:INFY", "SELL 25 NSE:SBIN"]

    def test_bars_of_different_moments_make_no_spread(self) -> None:
        strategy = self.pairs()
        for minute, close in enumerate([200, 201, 200, 203]):
            assert strategy.on_bar(bar(minute, close)) == ()
        assert strategy.on_bar(bar(2, 100, key="NSE:SBIN")) == ()
        assert strategy.snapshot()["state"]["_spread"]["!kept"]["_values"]["!deque"] == []

    def test_both_legs_are_closed_when_the_day_ends(self) -> None:
        strategy = self.pairs()
        entered = self.spreads(strategy, [0, 1, 0, 3], first=CLOSE_MINUTE - 5)
        assert list(entered) == [3]
        assert sides(strategy.on_bar(bar(CLOSE_MINUTE - 1, 203))) == [BUY, SELL]
        assert strategy.on_bar(bar(CLOSE_MINUTE - 1, 100, key="NSE:SBIN")) == ()

    @pytest.mark.parametrize(
        ("params", "said"),
        [
            ({"second": "NSE:INFY"}, r"second: must be another instrument than first \(NSE:INFY\)"),
            ({"exit_z": 1.3}, "enter_z: must lie between exit_z and stop_z"),
            ({"first": "INFY"}, "first: String should match pattern"),
        ],
    )
    def test_levels_and_legs_that_make_no_sense_are_refused(self, params: dict[str, Any], said: str) -> None:
        with pytest.raises(Exception, match=said):
            self.pairs(**params)


class TestEmaCross:
    def test_it_trades_the_crossings_of_exponential_averages(self) -> None:
        strategy = made("ema-cross", fast=2, slow=4)
        intents = [one for close in [10, 9, 8, 7, 6, 12, 13, 4, 4] for one in strategy.on_bar(bar(0, close))]
        assert sides(intents) == [BUY, SELL]
        assert intents[0].reason == "EMA(2) 10.17 crossed above EMA(4) 9.30"


LONG_ONLY = {
    "rsi-reversion": {"window": 3, "oversold": 40, "recovered": 45},
    "bollinger-reversion": {"window": 5, "width": 1},
    "vwap-reversion": {"window": 5, "width": 1},
    "opening-range": {"range_minutes": 3},
}


@pytest.mark.parametrize("name", sorted(LONG_ONLY))
@given(closes=walks, first=st.integers(0, 374))
def test_a_day_ends_flat_whatever_the_prices(name: str, closes: list[float], first: int) -> None:
    strategy = made(name, **LONG_ONLY[name])
    held = 0
    for index, close in enumerate(closes):
        minute = min(first + index, 374)
        on_bar = sides(strategy.on_bar(bar(minute, close, high=close + 1, low=close - 1)))
        on_tick = sides(strategy.on_tick(tick(minute + 1, close + 1.5)))
        for side in (*on_bar, *on_tick):
            held += side.sign
            assert held in (0, 1)
        if minute + 1 >= CLOSE_MINUTE:
            assert held == 0


@pytest.mark.parametrize("name", sorted(LONG_ONLY))
def test_an_entry_left_over_from_another_day_is_forgotten(name: str) -> None:
    strategy = made(name, **LONG_ONLY[name])
    strategy.on_bar(bar(0, 100))
    strategy.buy("to begin with")  # type: ignore[attr-defined]
    assert sides(strategy.on_bar(bar(24 * 60, 1000))) == []
    assert strategy.close("nothing") == ()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "params", "warmup"),
    [
        ("sma-cross", {"slow": 30}, Warmup(bars=30)),
        ("sma-cross", {"slow": 30, "bar_seconds": None}, Warmup(ticks=30)),
        ("ema-cross", {"slow": 30}, Warmup(bars=30)),
        ("momentum-breakout", {"entry_bars": 3, "exit_bars": 8}, Warmup(bars=8)),
        ("rsi-reversion", {"window": 14}, Warmup(bars=15)),
        ("bollinger-reversion", {"window": 14}, Warmup(bars=14)),
        ("vwap-reversion", {"window": 14}, Warmup(bars=14)),
        ("opening-range", {"range_minutes": 15, "bar_seconds": 300}, Warmup(bars=3)),
    ],
)
def test_the_warm_up_is_declared(name: str, params: dict[str, Any], warmup: Warmup) -> None:
    assert made(name, **params).warmup == warmup
