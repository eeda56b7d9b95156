"""What a deployment adds to a strategy: instruments, brokers, hours, limits; and a change of them while running."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import time
from decimal import Decimal
from typing import Any

import pytest

from alphapanda.domain.ids import Broker, StrategyId
from alphapanda.domain.instrument import Instrument, InstrumentType
from alphapanda.domain.vocabulary import Side
from alphapanda.feed.bars import Bar
from alphapanda.feed.instruments import by_key, cash_equity
from alphapanda.feed.router import StrategyRouter, Tolerance
from alphapanda.live.quotes import Tick
from alphapanda.strategies.contract import Fill, Intent, Strategy, StrategyParams
from alphapanda.strategies.deployment import Deployment, Limits, Schedule

OPEN = 1_759_981_500.0  # 2025-10-09 09:15 IST
BROKERS = (Broker("paper"), Broker("zerodha"))
INSTRUMENTS = by_key((cash_equity("INFY"), cash_equity("SBIN"), cash_equity("TCS")))


class Size(StrategyParams):
    quantity: int = 1


class Counts(Strategy[Size]):
    """Buys on every tick and tells in the reason how many it has seen."""

    name, version, Params = "counts", "1", Size

    def __init__(self, params: Size, instrument: Instrument) -> None:
        super().__init__(params, instrument)
        self.seen = 0

    def on_tick(self, tick: Tick) -> Sequence[Intent]:
        self.seen += 1
        return [Intent(side=Side.BUY, quantity=self.params.quantity, reason=f"{self.seen} seen")]


class CountsBars(Strategy[Size]):
    name, version, Params = "counts-bars", "1", Size
    bar_seconds = 60

    def on_bar(self, bar: Bar) -> Sequence[Intent]:
        return [Intent(side=Side.BUY, quantity=1, reason=f"{bar.start:.0f}, {bar.ticks} ticks")]


class Both(Strategy[Size]):
    """Trades two instruments against each other on each of their bars."""

    name, version, Params = "both", "1", Size
    bar_seconds = 60

    @classmethod
    def instruments_for(cls, params: Size) -> tuple[str, ...] | None:
        return ("NSE:INFY", "NSE:SBIN")

    def on_bar(self, bar: Bar) -> Sequence[Intent]:
        return [
            Intent(side=Side.BUY, quantity=1, reason="long leg"),
            Intent(side=Side.SELL, quantity=1, reason="short leg", instrument="NSE:SBIN"),
        ]


class Elsewhere(Strategy[Size]):
    name, version, Params = "elsewhere", "1", Size

    def on_tick(self, tick: Tick) -> Sequence[Intent]:
        return [Intent(side=Side.BUY, quantity=1, reason="not mine", instrument="NSE:SBIN")]


class SellsItsFills(Strategy[Size]):
    name, version, Params = "sells-its-fills", "1", Size

    def on_fill(self, fill: Fill) -> Sequence[Intent]:
        if fill.quantity > 100:
            raise RuntimeError("too much")
        return [Intent(side=Side.SELL, quantity=fill.quantity, reason=f"bought at {fill.price}")]


class Clock:
    """A clock that strategies in a test move."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


CLOCK = Clock()


class TakesItsTime(Strategy[Size]):
    """Slow on INFY, quick elsewhere."""

    name, version, Params = "takes-its-time", "1", Size

    def on_tick(self, tick: Tick) -> Sequence[Intent]:
        CLOCK.now += 0.2 if tick.instrument == "NSE:INFY" else 0.001
        return [Intent(side=Side.BUY, quantity=1, reason="at last")]


def deployed(strategy: type[Strategy[Size]], quantity: int = 1, **changes: Any) -> Deployment:
    return Deployment(strategy, Size(quantity=quantity), StrategyId(strategy.name), **changes)


def router(*deployments: Deployment, tolerance: Tolerance | None = None) -> StrategyRouter:
    return StrategyRouter(deployments, INSTRUMENTS, BROKERS, tolerance=tolerance, clock=CLOCK)


def tick(at: float = 0.0, instrument: str = "NSE:INFY") -> Tick:
    return Tick(instrument, 100.0, OPEN + at, OPEN + at, 10)


def told(one: StrategyRouter, *ticks: Tick) -> list[str]:
    return [f"{signal.instrument} {signal.metadata['reason']}" for each in ticks for signal in one.route(each)]


class TestInstruments:
    def test_a_deployment_with_instruments_trades_no_other(self) -> None:
        one = router(deployed(Counts, instruments=("NSE:SBIN",)))
        assert told(one, tick(), tick(instrument="NSE:SBIN")) == ["NSE:SBIN 1 seen"]

    def test_a_strategy_over_two_instruments_is_one_instance_that_hears_both(self) -> None:
        one = router(deployed(Both))
        ticks = [tick(at, key) for at in (0, 60, 120) for key in ("NSE:INFY", "NSE:SBIN", "NSE:TCS")]
        signals = [signal for each in ticks for signal in one.route(each)]
        assert [signal.summary for signal in signals[:2]] == ["BUY 1 NSE:INFY @ MARKET", "SELL 1 NSE:SBIN @ MARKET"]
        assert len({signal.signal_id for signal in signals}) == len(signals) == 2 * 2 * 2

    def test_the_legs_signals_have_the_same_ids_in_whatever_order_the_legs_tick(self) -> None:
        keys = ("NSE:INFY", "NSE:SBIN")
        ids = [
            {signal.signal_id for at in (0, 60, 120) for key in order for signal in one.route(tick(at, key))}
            for order, one in ((keys, router(deployed(Both))), (keys[::-1], router(deployed(Both))))
        ]
        assert ids[0] == ids[1]

    def test_an_instrument_the_feed_does_not_have_is_shown_before_any_tick(self) -> None:
        one = router(deployed(Counts, instruments=("NSE:NOBODY", "NSE:INFY")))
        assert one.suspended == {"counts": ["NSE:NOBODY"]}
        assert "the feed has no such instrument" in one.problems["counts"]
        assert told(one, tick()) == ["NSE:INFY 1 seen"]

    def test_a_named_instrument_that_the_strategy_does_not_trade_is_shown(self) -> None:
        nifty = replace(cash_equity("NIFTY 50"), instrument_type=InstrumentType.INDEX)
        one = StrategyRouter([deployed(Counts, instruments=(nifty.key,))], by_key((nifty,)), BROKERS)
        assert told(one, tick(instrument=nifty.key), tick(1, nifty.key)) == []
        assert one.suspended == {"counts": [nifty.key]}
        assert "the strategy does not trade it" in one.problems["counts"]

    def test_a_strategy_that_misses_a_leg_does_not_trade_the_other(self) -> None:
        only_infy = StrategyRouter([deployed(Both)], by_key((cash_equity("INFY"),)), BROKERS)
        assert told(only_infy, tick(0), tick(60)) == []
        assert only_infy.suspended == {"both": ["NSE:SBIN"]}

    def test_an_intent_for_an_instrument_that_is_not_its_own_is_the_strategys_error(self) -> None:
        one = router(deployed(Elsewhere))
        assert told(one, tick()) == []
        assert one.errors == {"elsewhere": 1}
        assert "NSE:SBIN is none of its own" in one.problems["elsewhere"]


def test_a_deployment_with_brokers_signals_to_these() -> None:
    (signal,) = router(deployed(Counts, brokers=(Broker("paper"),))).route(tick())
    assert signal.brokers == ("paper",)


def test_a_signal_tells_strategy_version_and_parameters() -> None:
    (signal,) = router(replace(deployed(Counts, quantity=3), strategy_id=StrategyId("mine"))).route(tick())
    assert signal.strategy_id == "mine"
    assert signal.signal_id.startswith("mine-")
    metadata = signal.metadata
    assert (metadata["strategy"], metadata["strategy_version"]) == ("counts", "1")
    assert metadata["parameters"] == {"quantity": 3}


@pytest.mark.parametrize(
    ("at", "asked"), [(899, False), (900, True), (1799, True), (1800, False), (-86_400 + 900, True)]
)
def test_outside_its_hours_a_strategy_is_shown_nothing(at: float, asked: bool) -> None:
    one = router(deployed(Counts, schedule=Schedule(time(9, 30), time(9, 45))))
    assert told(one, tick(at)) == (["NSE:INFY 1 seen"] if asked else [])
    assert not one.errors


class TestLimits:
    def test_a_quantity_over_the_limit_suspends_the_instance_at_once(self) -> None:
        one = router(deployed(Counts, quantity=11, limits=Limits(max_quantity=10)))
        assert told(one, tick(0), tick(1), tick(2)) == []
        assert one.suspended == {"counts": ["NSE:INFY"]}
        assert "max_quantity: 11 is over 10" in one.problems["counts"]
        assert one.errors == {"counts": 1}

    def test_the_signals_of_a_day_are_counted_over_all_instruments(self) -> None:
        one = router(deployed(Counts, limits=Limits(max_signals_per_day=3)))
        made = told(one, *(tick(at, key) for at in range(4) for key in ("NSE:INFY", "NSE:SBIN")))
        assert len(made) == 3
        assert one.suspended == {"counts": ["NSE:SBIN", "NSE:INFY"]}

    def test_a_new_day_begins_at_nothing(self) -> None:
        one = router(deployed(Counts, limits=Limits(max_signals_per_day=2)))
        assert len(told(one, tick(0), tick(1), tick(86_400), tick(86_401))) == 4


class TestSlowness:
    tolerance = Tolerance(slow_s=0.05, slow_in_a_row=3)

    def test_a_slow_strategy_is_counted_shown_and_then_suspended_on_that_instrument_alone(self) -> None:
        one = router(deployed(TakesItsTime), deployed(Counts), tolerance=self.tolerance)
        made = told(one, *(tick(at) for at in range(5)), tick(5, "NSE:SBIN"))
        assert made.count("NSE:INFY at last") == 3
        assert made.count("NSE:SBIN at last") == 1
        assert len([line for line in made if line.endswith("seen")]) == 6
        assert one.slow == {"takes-its-time": 3}
        assert one.suspended == {"takes-its-time": ["NSE:INFY"]}
        assert "took 200.0 ms" in one.problems["takes-its-time"]

    def test_without_a_limit_no_call_is_timed(self) -> None:
        one = router(deployed(TakesItsTime))
        assert len(told(one, *(tick(at) for at in range(30)))) == 30
        assert not one.slow


class TestFills:
    def fill(self, quantity: int = 5, instrument: str = "NSE:INFY") -> Fill:
        return Fill(instrument, Side.BUY, quantity, Decimal("99.95"), OPEN)

    def test_a_strategy_answers_to_its_fill_with_a_signal(self) -> None:
        one = router(deployed(SellsItsFills), deployed(Counts))
        one.route(tick())
        (signal,) = one.fill(StrategyId("sells-its-fills"), self.fill(), received_at=OPEN + 1)
        assert signal.summary == "SELL 5 NSE:INFY @ MARKET"
        assert signal.metadata["reason"] == "bought at 99.95"
        assert one.fill(StrategyId("counts"), self.fill(), received_at=OPEN) == []

    def test_a_fill_reaches_the_instance_of_its_instrument_alone(self) -> None:
        one = router(deployed(SellsItsFills, instruments=("NSE:INFY", "NSE:SBIN")))
        one.route(tick())
        (signal,) = one.fill(StrategyId("sells-its-fills"), self.fill(instrument="NSE:SBIN"), received_at=OPEN)
        assert signal.instrument == "NSE:SBIN"  # although it has not ticked yet
        assert one.fill(StrategyId("sells-its-fills"), self.fill(instrument="NSE:TCS"), received_at=OPEN) == []
        assert one.fill(StrategyId("nobody"), self.fill(), received_at=OPEN) == []

    def test_a_fill_is_told_outside_the_hours_too(self) -> None:
        one = router(deployed(SellsItsFills, schedule=Schedule(time(10, 0), time(11, 0))))
        assert len(one.fill(StrategyId("sells-its-fills"), self.fill(), received_at=OPEN)) == 1

    def test_a_fill_handler_that_raises_is_counted(self) -> None:
        one = router(deployed(SellsItsFills), tolerance=Tolerance(errors_in_a_row=1))
        one.route(tick())
        assert one.fill(StrategyId("sells-its-fills"), self.fill(101), received_at=OPEN) == []
        assert one.errors == {"sells-its-fills": 1}
        assert one.suspended == {"sells-its-fills": ["NSE:INFY"]}


class TestReload:
    def test_what_is_the_same_goes_on_and_what_changed_begins_anew(self) -> None:
        kept, changed = deployed(Counts), replace(deployed(Counts), strategy_id=StrategyId("other"))
        one = router(kept, changed)
        told(one, tick(0), tick(1))
        one.reload([deployed(Counts), replace(changed, params=Size(quantity=2))])
        assert told(one, tick(2)) == ["NSE:INFY 3 seen", "NSE:INFY 1 seen"]

    def test_what_is_taken_out_is_asked_no_more_and_what_is_new_is(self) -> None:
        one = router(deployed(Counts))
        told(one, tick())
        one.reload([deployed(SellsItsFills), deployed(CountsBars)])
        assert told(one, tick(1)) == []
        assert told(one, tick(60), tick(120)) == [f"NSE:INFY {OPEN + 60:.0f}, 1 ticks"]

    def test_bars_go_on_over_a_reload_where_somebody_wants_them_still(self) -> None:
        one = router(deployed(CountsBars))
        told(one, tick(0), tick(1))
        one.reload([deployed(CountsBars), deployed(Counts)])
        assert told(one, tick(2), tick(60))[1] == f"NSE:INFY {OPEN:.0f}, 3 ticks"

    def test_a_bar_that_was_torn_while_nobody_wanted_it_is_not_given(self) -> None:
        one = router(deployed(CountsBars))
        told(one, tick(0), tick(1))
        one.reload([deployed(Counts)])
        told(one, tick(2))
        one.reload([deployed(CountsBars)])
        assert told(one, tick(3), tick(60)) == []

    def test_a_suspended_strategy_stays_so_until_its_deployment_changes(self) -> None:
        limited = deployed(Counts, quantity=5, limits=Limits(max_quantity=2))
        one = router(limited)
        told(one, tick())
        one.reload([limited])
        assert told(one, tick(1)) == []
        assert one.suspended == {"counts": ["NSE:INFY"]}
        one.reload([replace(limited, limits=Limits(max_quantity=5))])
        assert (one.suspended, one.problems) == ({}, {})
        assert told(one, tick(2)) == ["NSE:INFY 1 seen"]
