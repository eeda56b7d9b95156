"""The built-in strategies: when they enter, when they leave, and what they never do."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapanda.domain.instrument import Instrument, InstrumentType
from alphapanda.domain.vocabulary import Exchange, OrderType, Product, Side
from alphapanda.feed.bars import Bar
from alphapanda.live.quotes import Tick
from alphapanda.strategies.contract import Intent
from alphapanda.strategies.momentum_breakout import MomentumBreakout, MomentumBreakoutParams
from alphapanda.strategies.sma_cross import SmaCross, SmaCrossParams

INFY = Instrument(Exchange.NSE, "INFY", 408065, InstrumentType.EQUITY, "NSE_EQ", Decimal("0.05"), 1)
OPTION = replace(INFY, exchange=Exchange.NFO, instrument_type=InstrumentType.CALL, lot_size=75)

walks = st.lists(st.integers(-20, 20), min_size=1, max_size=300).map(
    lambda steps: [round(1000 + sum(steps[: i + 1]) * 0.05, 2) for i in range(len(steps))]
)


def tick(price: float, at: float = 0.0) -> Tick:
    return Tick("NSE:INFY", price, at, at)


def bar(close: float, *, high: float | None = None, low: float | None = None, start: int = 0) -> Bar:
    high, low = high if high is not None else close, low if low is not None else close
    return Bar("NSE:INFY", start, 60, close, high, low, close, 100, 1, 0)


def sides(intents: Iterable[Intent]) -> list[Side]:
    return [intent.side for intent in intents]


def sma(**params: int | None) -> SmaCross:
    return SmaCross(SmaCrossParams.model_validate({"fast": 2, "slow": 4, **params}), INFY)


def breakout(**params: int) -> MomentumBreakout:
    return MomentumBreakout(MomentumBreakoutParams.model_validate({"entry_bars": 3, "exit_bars": 2, **params}), INFY)


def closes(strategy: SmaCross, prices: Sequence[float]) -> list[list[Side]]:
    return [sides(strategy.on_bar(bar(price))) for price in prices]


class TestSmaCross:
    def test_it_buys_when_the_fast_average_crosses_above_and_sells_when_it_crosses_below(self) -> None:
        answers = closes(sma(), [10, 9, 8, 7, 6, 12, 13, 4, 4])
        assert answers == [[], [], [], [], [], [Side.BUY], [], [Side.SELL], []]

    def test_where_the_averages_stand_after_the_warm_up_opens_nothing(self) -> None:
        assert closes(sma(), [1, 2, 3, 4, 5, 6, 7]) == [[]] * 7

    def test_a_cross_below_without_an_entry_sells_nothing(self) -> None:
        assert closes(sma(), [1, 2, 3, 4, 1, 1, 1]) == [[]] * 7

    def test_equal_averages_are_no_crossing(self) -> None:
        # After 5 both averages are 9: long stays long, and rising again is no second crossing.
        assert closes(sma(), [10, 9, 8, 7, 6, 12, 13, 5, 20])[5:] == [[Side.BUY], [], [], []]
        assert closes(sma(), [5, 5, 5, 5, 5, 5]) == [[]] * 6

    def test_an_order_is_an_intraday_market_order_that_says_why(self) -> None:
        strategy = sma(quantity=7)
        intents = [intent for price in [10, 9, 8, 7, 6, 12] for intent in strategy.on_bar(bar(price))]
        assert intents == [
            Intent(
                side=Side.BUY,
                quantity=7,
                order_type=OrderType.MARKET,
                product=Product.MIS,
                reason="SMA(2) 9.00 crossed above SMA(4) 8.25",
            )
        ]

    def test_without_a_bar_length_every_tick_counts(self) -> None:
        strategy = sma(bar_seconds=None)
        assert strategy.bar_seconds is None
        answers = [sides(strategy.on_tick(tick(price))) for price in [10, 9, 8, 7, 6, 12, 5, 4]]
        assert list(chain(*answers)) == [Side.BUY, Side.SELL]

    def test_with_a_bar_length_ticks_decide_nothing(self) -> None:
        strategy = sma()
        assert [list(strategy.on_tick(tick(price))) for price in [10, 9, 8, 7, 6, 12, 5]] == [[]] * 7

    @given(walks)
    def test_buys_and_sells_alternate_beginning_with_a_buy(self, prices: list[float]) -> None:
        traded = list(chain(*closes(sma(), prices)))
        assert traded == [Side.BUY, Side.SELL] * (len(traded) // 2) + [Side.BUY] * (len(traded) % 2)

    @given(walks, walks)
    def test_no_answer_depends_on_the_future(self, past: list[float], future: list[float]) -> None:
        assert closes(sma(), past + future)[: len(past)] == closes(sma(), past)

    def test_a_fast_window_that_is_not_faster_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"fast: 20 must be smaller than slow \(20\)"):
            SmaCrossParams(fast=20, slow=20)


class TestMomentumBreakout:
    def warm(self, strategy: MomentumBreakout) -> MomentumBreakout:
        for high, low in ((101, 99), (103, 98), (102, 97)):
            assert strategy.on_bar(bar(100, high=high, low=low)) == ()
        return strategy

    def test_it_buys_on_the_first_tick_above_the_high_of_the_last_bars(self) -> None:
        strategy = self.warm(breakout())
        assert [sides(strategy.on_tick(tick(price))) for price in (102.9, 103, 103.05, 110)] == [[], [], [Side.BUY], []]

    def test_before_the_warm_up_it_trades_nothing(self) -> None:
        strategy = breakout()
        strategy.on_bar(bar(100))
        strategy.on_bar(bar(100))
        assert strategy.on_tick(tick(1000)) == ()

    def test_an_exit_window_longer_than_the_entry_window_is_warmed_up_too(self) -> None:
        strategy = self.warm(breakout(entry_bars=2, exit_bars=4))
        assert strategy.on_tick(tick(1000)) == ()
        strategy.on_bar(bar(100))
        assert sides(strategy.on_tick(tick(1000))) == [Side.BUY]

    def test_it_sells_on_the_first_tick_below_the_low_of_the_last_bars(self) -> None:
        strategy = self.warm(breakout())
        strategy.on_tick(tick(104))
        assert [sides(strategy.on_tick(tick(price))) for price in (97, 96.95, 90)] == [[], [Side.SELL], []]

    def test_the_trailing_low_rises_with_the_bars_and_never_falls(self) -> None:
        strategy = self.warm(breakout())
        strategy.on_tick(tick(104))
        for low in (105, 106):
            strategy.on_bar(bar(108, low=low))
        strategy.on_bar(bar(106, low=99))
        strategy.on_bar(bar(106, low=99))
        assert strategy.on_tick(tick(105)) == ()
        assert sides(strategy.on_tick(tick(104.95))) == [Side.SELL]

    def test_after_an_exit_it_waits_for_a_bar_before_it_enters_again(self) -> None:
        strategy = self.warm(breakout())
        strategy.on_tick(tick(104))
        strategy.on_tick(tick(90))
        assert strategy.on_tick(tick(200)) == ()
        strategy.on_bar(bar(100, high=101))
        assert sides(strategy.on_tick(tick(200))) == [Side.BUY]

    @given(walks)
    def test_buys_and_sells_alternate_beginning_with_a_buy(self, prices: list[float]) -> None:
        strategy = breakout()
        traded = []
        for index, price in enumerate(prices):
            if index % 3 == 2:
                strategy.on_bar(bar(price, high=max(prices[index - 2 : index + 1]), low=min(prices[index - 2 : index])))
            traded += sides(strategy.on_tick(tick(price)))
        assert traded == [Side.BUY, Side.SELL] * (len(traded) // 2) + [Side.BUY] * (len(traded) % 2)


def test_a_quantity_is_rounded_up_to_whole_lots() -> None:
    strategy = SmaCross(SmaCrossParams(fast=1, slow=2, quantity=80), OPTION)
    intents = [intent for price in (2, 1, 5) for intent in strategy.on_bar(bar(price))]
    assert [intent.quantity for intent in intents] == [150]


def test_an_index_is_not_traded() -> None:
    index = replace(INFY, instrument_type=InstrumentType.INDEX)
    assert SmaCross.trades(INFY)
    assert not SmaCross.trades(index)
