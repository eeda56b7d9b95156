"""The engine: what an order meets, when, and that nothing comes from the future."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphapanda.backtest.engine import Outcome
from alphapanda.domain.ids import StrategyId
from alphapanda.domain.reasons import ReasonCode
from alphapanda.domain.states import OrderState
from alphapanda.domain.vocabulary import OrderType, Side
from alphapanda.live.quotes import Tick
from alphapanda.settings import PaperSettings, RiskSettings
from alphapanda.strategies.contract import Fill, Intent, Strategy, StrategyParams
from alphapanda.strategies.registry import Deployment, deploy
from tests.unit.backtest.scripted import (
    EXACT,
    INFY,
    OPEN,
    SBIN,
    at,
    backtest,
    buy,
    orders,
    prices,
    run,
    scripted,
    sell,
    tick,
)

WALK = [tick(20.0 * n, 1500 + (n * 7919 % 41 - 20) * 0.05) for n in range(600)]


def test_a_market_order_meets_the_tick_its_strategy_saw() -> None:
    outcome = run([tick(0, 100), tick(20, 110), tick(40, 120)], scripted(at(20, then=[buy()])))
    assert prices(outcome) == [Decimal(110)]
    assert outcome.desk.fills[0].trade.traded_at.timestamp() == OPEN + 20


def test_a_bar_is_acted_on_at_the_first_tick_after_it_never_at_its_own_close() -> None:
    params = {"fast": 1, "slow": 2, "bar_seconds": 60, "quantity": 1}
    closes = (100, 99, 120)  # the cross comes with the third bar
    ticks = [tick(60 * minute, price) for minute, price in enumerate(closes)] + [tick(180, 150)]
    outcome = run(ticks, deploy("sma-cross", params))
    assert prices(outcome) == [Decimal(150)]


def test_a_resting_order_is_matched_by_later_ticks_only() -> None:
    limit = buy(order_type=OrderType.LIMIT, price=Decimal(95))
    outcome = run([tick(0, 94), tick(20, 100), tick(40, 96), tick(60, 95)], scripted(at(20, then=[limit])))
    assert [(fill.trade.price, fill.trade.traded_at.timestamp() - OPEN) for fill in outcome.desk.fills] == [
        (Decimal(95), 60.0)
    ]


def test_a_tick_of_the_moment_of_the_order_does_not_match_it_when_it_rests() -> None:
    limit = buy(order_type=OrderType.LIMIT, price=Decimal(95))
    ticks = [tick(20, 100), tick(20, 90), tick(40, 100), tick(60, 94)]
    asked = iter([[limit]])
    outcome = run(ticks, scripted(lambda _: next(asked, [])))
    assert [fill.trade.traded_at.timestamp() - OPEN for fill in outcome.desk.fills] == [60]


def test_an_order_with_latency_meets_the_last_quote_before_its_arrival() -> None:
    slow = PaperSettings(slippage_bps=Decimal(0), latency_ms=8000)  # 4 to 12 seconds
    ticks = [tick(0, 100), tick(1, 101), tick(3, 103), tick(20, 120)]
    outcome = run(ticks, scripted(at(0, then=[buy()])), paper=slow)
    [order] = orders(outcome)
    assert prices(outcome) == [Decimal(103)]
    assert OPEN + 4 <= outcome.desk.fills[0].trade.traded_at.timestamp() <= OPEN + 12
    assert order.created_at.timestamp() == OPEN


def test_the_next_tick_is_taken_only_when_all_of_the_last_is_done() -> None:
    seen: list[float] = []

    def watched() -> Iterator[Tick]:
        for number, each in enumerate(WALK[:50]):
            assert len(seen) == number
            assert len(engine.desk.orders) == number
            yield each

    def script(each: Tick) -> Sequence[Intent]:
        seen.append(each.last_price)
        return [buy(1)]

    engine = backtest(scripted(script))
    engine.run(watched())
    assert len(engine.desk.fills) == 50


def _story(outcome: Outcome, until: float) -> list[object]:
    """Everything of a run up to a moment, bit for bit."""
    told: list[object] = []
    for order in outcome.desk.orders.values():
        if order.created_at.timestamp() <= until:
            told.append((order.order_id, order.signal.model_dump_json(), order.created_at))
    for fill in outcome.desk.fills:
        if fill.trade.traded_at.timestamp() <= until:
            told.append((fill.trade, fill.realised))
    told += [point for point in outcome.equity if point.at < until]
    return told


@settings(max_examples=40, deadline=None)
@given(
    cut=st.integers(1, 300),
    future=st.lists(st.floats(1200, 1800).map(lambda price: round(price, 2)), max_size=60),
    latency_ms=st.sampled_from([0, 15_000]),
)
def test_no_future_can_change_the_past(cut: int, future: list[float], latency_ms: int) -> None:
    deployments = [
        deploy("sma-cross", {"fast": 2, "slow": 5, "bar_seconds": 60}),
        deploy("momentum-breakout", {"entry_bars": 3, "exit_bars": 2, "bar_seconds": 60}),
    ]
    paper = PaperSettings(latency_ms=latency_ms)
    past = WALK[:cut]
    other = [tick(20.0 * (cut + n), price) for n, price in enumerate(future)]
    until = past[-1].received_at
    one = run(WALK, *deployments, paper=paper)
    two = run([*past, *other], *deployments, paper=paper)
    assert _story(one, until) == _story(two, until)


def test_the_account_is_worth_what_was_won_and_lost() -> None:
    outcome = run(WALK, deploy("sma-cross", {"fast": 2, "slow": 5, "bar_seconds": 60}))
    desk = outcome.desk
    assert len(desk.fills) > 20
    cash = sum((-f.trade.side.sign * f.trade.quantity * f.trade.price - f.trade.charges for f in desk.fills), Decimal())
    held = sum((p.quantity * outcome.prices[key] for (_, key, _), p in desk.positions.items() if p.quantity), Decimal())
    assert outcome.equity[-1].equity == EXACT.starting_cash + cash + held


def test_the_risk_rules_of_the_desk_deny_an_entry_and_let_an_exit_pass() -> None:
    tight = RiskSettings(max_position_quantity=10)
    script = {0.0: buy(10), 20.0: buy(1), 40.0: sell(10)}
    outcome = run(
        [tick(0, 100), tick(20, 100), tick(40, 100)],
        scripted(lambda each: [script[each.exchange_time - OPEN]]),
        risk=tight,
    )
    assert [(order.state, order.why.code) for order in orders(outcome)] == [
        (OrderState.FILLED, ReasonCode.BROKER_FILLED),
        (OrderState.DENIED, ReasonCode.RISK_POSITION_QUANTITY),
        (OrderState.FILLED, ReasonCode.BROKER_FILLED),
    ]
    assert [order.is_exit for order in orders(outcome)] == [False, False, True]


def test_a_days_loss_stops_entries_until_the_next_day() -> None:
    day = 86_400.0
    script = {0.0: [buy(1000)], 20.0: [sell(1000)], 40.0: [buy(1)], day: [buy(1)]}
    outcome = run(
        [tick(0, 100), tick(20, 90), tick(40, 90), tick(day, 90)],
        scripted(lambda each: script[each.exchange_time - OPEN]),
        risk=RiskSettings(max_daily_loss=Decimal(5000)),
    )
    assert [order.state for order in orders(outcome)] == ["FILLED", "FILLED", "DENIED", "FILLED"]
    assert orders(outcome)[2].why.code is ReasonCode.RISK_DAILY_LOSS


def test_two_resting_orders_cannot_jointly_pass_a_limit() -> None:
    limit = buy(6, order_type=OrderType.LIMIT, price=Decimal(95))
    outcome = run([tick(0, 100)], scripted(at(0, then=[limit, limit])), risk=RiskSettings(max_position_quantity=10))
    assert [order.state for order in orders(outcome)] == [OrderState.OPEN, OrderState.DENIED]


def test_an_order_outside_the_session_is_refused_by_the_calendar() -> None:
    evening = 9 * 3600.0
    outcome = run([tick(evening, 100)], scripted(at(evening, then=[buy()])))
    [order] = orders(outcome)
    assert (order.state, order.why.code) == (OrderState.INVALID, ReasonCode.MARKET_CLOSED)
    always = run([tick(evening, 100)], scripted(at(evening, then=[buy()])), calendar=None)
    assert [order.state for order in orders(always)] == [OrderState.FILLED]


def test_a_day_order_ends_with_the_session_before_the_next_days_ticks() -> None:
    limit = buy(order_type=OrderType.LIMIT, price=Decimal(95))
    outcome = run([tick(0, 100), tick(86_400, 90)], scripted(at(0, then=[limit])))
    [order] = orders(outcome)
    assert (order.state, order.why.code) == (OrderState.EXPIRED, ReasonCode.BROKER_EXPIRED)
    assert order.updated_at.timestamp() == OPEN + 375 * 60
    assert outcome.desk.fills == []


def test_a_fill_is_told_to_its_strategy_which_may_answer_with_a_stop() -> None:
    heard: list[Fill] = []

    def protect(fill: Fill) -> Sequence[Intent]:
        heard.append(fill)
        if fill.side is Side.BUY:
            return [sell(fill.quantity, order_type=OrderType.SL_M, trigger_price=fill.price - 5)]
        return ()

    ticks = [tick(0, 100), tick(20, 97), tick(40, 95), tick(60, 90)]
    outcome = run(ticks, scripted(at(0, then=[buy()]), protect))
    assert prices(outcome) == [Decimal(100), Decimal(95)]
    assert [(fill.side, fill.price, fill.at - OPEN) for fill in heard] == [
        (Side.BUY, Decimal(100), 0.0),
        (Side.SELL, Decimal(95), 40.0),
    ]


def test_a_strategy_that_answers_every_fill_with_an_order_cannot_hold_the_run_up() -> None:
    outcome = run([tick(20 * n, 100) for n in range(3)], scripted(at(0, then=[buy(1)]), lambda _: [buy(1)]))
    assert outcome.ticks == 3
    assert 3 <= len(outcome.desk.fills) <= 30


def test_volume_bounds_a_fill_and_the_rest_waits_for_later_ticks() -> None:
    outcome = run([tick(0, 100, 4), tick(20, 101, 4), tick(40, 102, 4)], scripted(at(0, then=[buy()])))
    assert [(fill.trade.quantity, fill.trade.price) for fill in outcome.desk.fills] == [
        (4, Decimal(100)),
        (4, Decimal(101)),
        (2, Decimal(102)),
    ]
    [order] = orders(outcome)
    assert (order.state, order.progress.filled_quantity) == (OrderState.FILLED, 10)


def test_a_strategy_that_raises_is_counted_and_the_others_go_on() -> None:
    def broken(_: Tick) -> Sequence[Intent]:
        raise RuntimeError("broken")

    outcome = run(WALK[:40], scripted(broken, name="broken"), scripted(at(0, then=[buy()]), name="sound"))
    assert outcome.errors == {"broken": 20}
    assert outcome.suspended == {"broken": ["NSE:INFY"]}
    assert [order.state for order in orders(outcome)] == [OrderState.FILLED]


@pytest.mark.parametrize("spread", [1, 7])
def test_the_same_run_twice_is_the_same_to_the_last_byte(spread: int) -> None:
    paper = PaperSettings(reject_rate=Decimal("0.2"), latency_ms=1000 * spread)
    deployment = deploy("sma-cross", {"fast": 2, "slow": 5, "bar_seconds": 60})
    one, two = (run(WALK, deployment, paper=paper) for _ in range(2))
    assert _story(one, float("inf")) == _story(two, float("inf"))
    assert [asdict(order.progress) for order in orders(one)] == [asdict(order.progress) for order in orders(two)]
    assert {order.state for order in orders(one)} >= {OrderState.FILLED, OrderState.REJECTED}


def test_an_order_that_needs_a_person_waits_for_one_who_never_comes() -> None:
    risk = RiskSettings(approval_value=Decimal(500))
    outcome = run([tick(0, 100), tick(20, 100)], scripted(at(0, then=[buy(10)])), risk=risk)
    assert [order.state for order in orders(outcome)] == [OrderState.AWAITING_APPROVAL]


def test_a_lost_reply_is_settled_from_the_book_at_once() -> None:
    paper = PaperSettings(slippage_bps=Decimal(0), lose_reply_rate=Decimal(1))
    outcome = run([tick(0, 100)], scripted(at(0, then=[buy()])), paper=paper)
    assert [order.state for order in orders(outcome)] == [OrderState.FILLED]
    assert prices(outcome) == [Decimal(100)]


def test_what_the_account_cannot_pay_is_rejected() -> None:
    outcome = run([tick(0, 100)], scripted(at(0, then=[buy()])), paper=PaperSettings(starting_cash=Decimal(100)))
    [order] = orders(outcome)
    assert (order.state, order.why.code) == (OrderState.REJECTED, ReasonCode.BROKER_REJECTED)
    assert "insufficient funds" in order.why.detail


class Leg(Strategy[StrategyParams]):
    """Buys SBIN when INFY ticks for the second time."""

    name = "leg"
    version = "1"
    Params = StrategyParams

    @classmethod
    def instruments_for(cls, params: StrategyParams) -> tuple[str, ...]:
        return INFY.key, SBIN.key

    def on_tick(self, tick: Tick) -> Sequence[Intent]:
        wanted = tick.instrument == INFY.key and tick.exchange_time == OPEN + 60
        return [buy(instrument=SBIN.key)] if wanted else ()


@pytest.mark.parametrize(
    ("next_quote", "state", "code"),
    [(65, OrderState.FILLED, ReasonCode.BROKER_FILLED), (75, OrderState.DENIED, ReasonCode.MARKET_QUOTE_STALE)],
)
def test_an_entry_waits_a_while_for_a_fresh_quote_of_its_instrument(
    next_quote: float, state: OrderState, code: ReasonCode
) -> None:
    ticks = [tick(0, 500, symbol="SBIN"), tick(60, 100), tick(next_quote, 510, symbol="SBIN"), tick(90, 100)]
    outcome = run(ticks, Deployment(Leg, StrategyParams(), StrategyId("leg")))
    [order] = orders(outcome)
    assert (order.state, order.why.code) == (state, code)
    assert prices(outcome) == ([Decimal(510)] if state is OrderState.FILLED else [])
    assert order.updated_at.timestamp() == OPEN + (65 if state is OrderState.FILLED else 70)


def test_the_same_intent_within_the_duplicate_window_is_denied() -> None:
    outcome = run(
        [tick(0, 100), tick(5, 100), tick(20, 100)],
        scripted(at(0, 5, 20, then=[buy()])),
        risk=RiskSettings(duplicate_window_s=10),
    )
    assert [order.state for order in orders(outcome)] == ["FILLED", "DENIED", "FILLED"]
