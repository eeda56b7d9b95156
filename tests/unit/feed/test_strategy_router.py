"""The router: isolation between instruments, deterministic ids, and strategies that fail."""

from collections.abc import Sequence
from decimal import Decimal

import pytest

from alphapanda.domain.ids import Broker, StrategyId
from alphapanda.domain.instrument import Instrument, InstrumentType
from alphapanda.domain.vocabulary import Exchange, OrderType, Product, Side
from alphapanda.feed.bars import Bar
from alphapanda.feed.instruments import by_key, cash_equity
from alphapanda.feed.router import StrategyRouter, Tolerance
from alphapanda.feed.simulator import SimulatorSource
from alphapanda.live.quotes import Tick
from alphapanda.strategies.contract import Intent, Strategy, StrategyParams
from alphapanda.strategies.registry import Deployment, deploy_all

NOON = 1_760_000_000.0
BROKERS = (Broker("paper"), Broker("zerodha"))
NIFTY = Instrument(Exchange.NSE, "NIFTY 50", 256265, InstrumentType.INDEX, "NSE_EQ", Decimal("0.05"), 1)
INSTRUMENTS = by_key((cash_equity("INFY"), cash_equity("SBIN"), NIFTY))


class NoParams(StrategyParams):
    pass


class BuysEveryTick(Strategy[NoParams]):
    name, version, Params = "buys-every-tick", "3", NoParams

    def on_tick(self, tick: Tick) -> Sequence[Intent]:
        return [Intent(side=Side.BUY, quantity=1, reason="a tick")]


class BuysTwice(Strategy[NoParams]):
    name, version, Params = "buys-twice", "1", NoParams

    def on_tick(self, tick: Tick) -> Sequence[Intent]:
        return [Intent(side=Side.BUY, quantity=quantity, reason="a tick") for quantity in (1, 2)]


class BuysEveryBar(Strategy[NoParams]):
    name, version, Params = "buys-every-bar", "1", NoParams
    bar_seconds = 1

    def on_bar(self, bar: Bar) -> Sequence[Intent]:
        return [Intent(side=Side.BUY, quantity=1, reason="a bar")]


class RaisesOnInfy(Strategy[NoParams]):
    name, version, Params = "raises-on-infy", "1", NoParams

    def on_tick(self, tick: Tick) -> Sequence[Intent]:
        if tick.instrument == "NSE:INFY":
            raise RuntimeError("no idea")
        return [Intent(side=Side.SELL, quantity=1, reason="a tick")]


class RaisesOnBars(BuysEveryTick):
    name = "raises-on-bars"
    bar_seconds = 1

    def on_bar(self, bar: Bar) -> Sequence[Intent]:
        raise RuntimeError("no idea")


class LimitWithoutPrice(Strategy[NoParams]):
    name, version, Params = "limit-without-price", "1", NoParams

    def on_tick(self, tick: Tick) -> Sequence[Intent]:
        good = Intent(side=Side.BUY, quantity=1, reason="first leg")
        return [good, Intent(side=Side.BUY, quantity=1, reason="second leg", order_type=OrderType.LIMIT)]


class CannotBeMade(BuysEveryTick):
    name = "cannot-be-made"

    def __init__(self, params: NoParams, instrument: Instrument) -> None:
        raise RuntimeError("no idea")


class CannotSayWhatItTrades(BuysEveryTick):
    name = "cannot-say"

    @classmethod
    def trades(cls, instrument: Instrument) -> bool:
        raise RuntimeError("no idea")


class OddBars(BuysEveryBar):
    name = "odd-bars"
    bar_seconds = 7


def deployed(strategy: type[Strategy[NoParams]]) -> Deployment:
    return Deployment(strategy, NoParams(), StrategyId(strategy.name))


def router(*strategies: type[Strategy[NoParams]], errors: int = 20) -> StrategyRouter:
    return StrategyRouter(
        [deployed(one) for one in strategies], INSTRUMENTS, BROKERS, tolerance=Tolerance(errors_in_a_row=errors)
    )


def tick(at: float = 0.0, instrument: str = "NSE:INFY", price: float = 100.0) -> Tick:
    return Tick(instrument, price, NOON + at, NOON + 1000, 10)


def test_an_intent_becomes_one_signal_to_every_broker() -> None:
    (signal,) = router(BuysEveryTick).route(tick())
    assert signal.brokers == BROKERS
    assert (signal.exchange, signal.tradingsymbol, signal.side, signal.quantity) == ("NSE", "INFY", "BUY", 1)
    assert (signal.order_type, signal.product) == (OrderType.MARKET, Product.MIS)
    assert signal.strategy_id == "buys-every-tick"
    assert signal.metadata["strategy_version"] == "3"
    assert signal.metadata["reason"] == "a tick"
    assert signal.metadata["caused_at"] == "2025-10-09T08:53:20+00:00"


def test_a_signal_is_as_old_as_its_receipt_not_as_its_recording() -> None:
    (signal,) = router(BuysEveryTick).route(tick())
    assert signal.generated_at.timestamp() == NOON + 1000


def test_signal_ids_differ_by_strategy_instrument_time_side_and_order() -> None:
    every = router(BuysEveryTick, BuysTwice, BuysEveryBar)
    ids = [
        signal.signal_id
        for at in (0.0, 0.25, 1.0, 1.0, 2.0)
        for instrument in ("NSE:INFY", "NSE:SBIN")
        for signal in every.route(tick(at, instrument))
    ]
    assert len(ids) == len(set(ids)) == 2 * (5 * 3 + 2)


def test_a_bar_and_a_tick_of_the_same_instant_make_two_signals() -> None:
    both = router(BuysEveryBar, BuysEveryTick)
    both.route(tick(0.0))
    assert len({signal.signal_id for signal in both.route(tick(1.0))}) == 2


def test_two_workers_agree_on_every_id_once_the_later_one_has_caught_up() -> None:
    source = SimulatorSource(["INFY", "SBIN", "MARUTI"], seed=7, ticks_per_second=4, now=lambda: NOON)
    quick = {
        "sma-cross": {"fast": 2, "slow": 5, "bar_seconds": 1},
        "momentum-breakout": {"entry_bars": 5, "exit_bars": 3, "bar_seconds": 1},
    }
    slots = range(int(NOON) * 4, int(NOON) * 4 + 4 * 600)

    def ids_from(first: int) -> dict[str, float]:
        worker = StrategyRouter(deploy_all(quick, quick), source.instruments, BROKERS)
        ticks = (one for slot in slots[first:] for one in source.ticks(slot, NOON))
        return {signal.signal_id: one.exchange_time - NOON for one in ticks for signal in worker.route(one)}

    early, late = ids_from(0), ids_from(4 * 120 + 3)
    assert ids_from(0) == early
    # An entry from before its start is unknown to the later worker until that trade is over.
    settled = {name for name, at in early.items() if at > 300}
    assert settled == {name for name, at in late.items() if at > 300}
    assert len(settled) > 50


def test_instruments_do_not_share_a_strategys_state() -> None:
    ids = deploy_all(["sma-cross"], {"sma-cross": {"fast": 1, "slow": 2, "bar_seconds": None}})
    one = StrategyRouter(ids, INSTRUMENTS, BROKERS)
    traded = []
    for at, price in enumerate((10.0, 9.0, 20.0)):
        traded += one.route(tick(at, "NSE:INFY", price))
        traded += one.route(tick(at, "NSE:SBIN", 500.0))
    assert [signal.summary for signal in traded] == ["BUY 10 NSE:INFY @ MARKET"]


def test_an_index_and_an_unknown_instrument_are_given_to_no_strategy() -> None:
    every = router(BuysEveryTick)
    assert every.route(tick(instrument="NSE:NIFTY 50")) == []
    assert every.route(tick(instrument="NSE:NOBODY")) == []
    assert not every.errors


def test_a_strategy_that_raises_is_counted_and_the_others_go_on() -> None:
    both = router(RaisesOnInfy, BuysEveryTick)
    signals = [signal for at in range(5) for signal in both.route(tick(at))]
    assert [signal.strategy_id for signal in signals] == ["buys-every-tick"] * 5
    assert both.errors == {"raises-on-infy": 5}
    assert both.suspended == {}


def test_after_too_many_errors_in_a_row_it_is_suspended_on_that_instrument_alone() -> None:
    both = router(RaisesOnInfy, BuysEveryTick, errors=3)
    for at in range(10):
        both.route(tick(at))
    assert both.errors == {"raises-on-infy": 3}
    assert both.suspended == {"raises-on-infy": ["NSE:INFY"]}
    strategies = [signal.strategy_id for signal in both.route(tick(11, "NSE:SBIN"))]
    assert strategies == ["raises-on-infy", "buys-every-tick"]


def test_a_sound_tick_handler_does_not_hide_that_every_bar_fails() -> None:
    one = router(RaisesOnBars, errors=3)
    signals = [signal for at in range(10) for signal in one.route(tick(at))]
    assert one.suspended == {"raises-on-bars": ["NSE:INFY"]}
    assert len(signals) == 3  # until the tick that completed the third bar


def test_an_intent_that_breaks_a_rule_is_the_strategys_error_and_nothing_of_its_set_is_traded() -> None:
    one = router(LimitWithoutPrice)
    assert one.route(tick()) == []
    assert one.errors == {"limit-without-price": 1}


@pytest.mark.parametrize("unusable", [CannotBeMade, CannotSayWhatItTrades, OddBars])
def test_a_strategy_that_cannot_be_made_is_suspended_and_shown(unusable: type[Strategy[NoParams]]) -> None:
    both = router(unusable, BuysEveryTick)
    assert len(both.route(tick())) == 1
    assert both.suspended == {unusable.name: ["NSE:INFY"]}
    assert unusable.name in both.problems


def test_late_ticks_are_counted() -> None:
    one = router(BuysEveryBar)
    for at in (0, 1, 2, 0.5):
        one.route(tick(at))
    assert one.late_ticks == 1


@pytest.mark.parametrize("strategy", [BuysEveryTick, BuysTwice])
def test_the_same_ticks_give_the_same_signals(strategy: type[Strategy[NoParams]]) -> None:
    ticks = [tick(at / 4) for at in range(20)]
    first, second = router(strategy), router(strategy)
    assert [first.route(one) for one in ticks] == [second.route(one) for one in ticks]
