"""Each rule alone, at its edge and by hypothesis; and the two lists: what entries are asked, what exits are."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapanda.domain.reasons import ReasonCode
from alphapanda.domain.vocabulary import OrderType, Side, TradingSwitch
from alphapanda.risk.rules import (
    ENTRY_RULES,
    EXIT_RULES,
    RECHECK_RULES,
    Rule,
    daily_loss_holds,
    denials,
    is_no_duplicate,
    needs_approval,
    order_quantity_holds,
    order_value_holds,
    position_quantity_holds,
    position_value_holds,
    price_is_inside_the_collar,
    quote_is_known,
    signal_is_recent,
    switch_permits,
)
from tests.unit.risk.desk import FLAT, LIMITS, NOW, book, candidate, limit, limits, quote

R = ReasonCode
quantities = st.integers(1, 500)
sides = st.sampled_from(Side)
rupees = st.decimals("0.05", "5000", places=2)


def verdict(rule: Rule, *, given_book: Any = FLAT, given_limits: Any = LIMITS, **terms: Any) -> ReasonCode | None:
    refusal = rule(candidate(**terms), given_book, given_limits)
    return None if refusal is None else refusal.code


@pytest.mark.parametrize(
    ("switch", "code"),
    [
        (TradingSwitch.ENABLED, None),
        (TradingSwitch.EXITS_ONLY, R.SWITCH_EXITS_ONLY),
        (TradingSwitch.HALTED, R.SWITCH_HALTED),
    ],
)
def test_the_switch_denies_entries(switch: TradingSwitch, code: ReasonCode | None) -> None:
    assert verdict(switch_permits, given_book=book(switch=switch)) is code


@given(st.integers(-600, 600), st.booleans(), st.booleans())
def test_a_signal_is_stale_by_its_age_unless_the_delay_was_asked_for(age: int, approved: bool, waits: bool) -> None:
    terms = {"generated_at": NOW - timedelta(seconds=age), "wait_for_open": waits}
    stale = age > LIMITS.signal_max_age_s and not approved and not waits
    assert (verdict(signal_is_recent, approved=approved, **terms) is R.SIGNAL_STALE) == stale


@given(st.integers(0, 3))
def test_a_twin_within_the_window_makes_a_duplicate(twins: int) -> None:
    assert (verdict(is_no_duplicate, given_book=book(recent_twins=twins)) is R.SIGNAL_DUPLICATE) == (twins > 0)


@pytest.mark.parametrize(
    ("view", "code"),
    [
        (quote(), None),
        (quote(age_s=15), None),
        (quote(age_s=15.1), R.MARKET_QUOTE_STALE),
        (quote(None), R.MARKET_QUOTE_UNKNOWN),
        (quote(age_s=-5), None),
    ],
)
def test_a_quote_is_unknown_stale_or_fresh(view: Any, code: ReasonCode | None) -> None:
    assert verdict(quote_is_known, view=view) is code


@given(quantities)
def test_the_order_quantity_holds_up_to_its_limit(quantity: int) -> None:
    assert (verdict(order_quantity_holds, quantity=quantity) is None) == (quantity <= LIMITS.max_order_quantity)


@given(quantities, rupees)
def test_the_order_value_holds_up_to_its_limit(quantity: int, price: Decimal) -> None:
    inside = quantity * price <= LIMITS.max_order_value
    assert (verdict(order_value_holds, quantity=quantity, **limit(str(price))) is None) == inside
    assert (verdict(order_value_holds, quantity=quantity, view=quote(str(price))) is None) == inside


def test_a_value_nobody_knows_is_left_to_the_quote_rule() -> None:
    assert verdict(order_value_holds, view=quote(None)) is None
    assert verdict(position_value_holds, view=quote(None)) is None


@given(quantities, sides, st.integers(-200, 200), st.integers(0, 200), st.integers(0, 200))
def test_the_position_limit_counts_what_is_held_and_promised_on_its_side(
    quantity: int, side: Side, held: int, buys: int, sells: int
) -> None:
    there = book(position=held, position_all_products=held, reserved_buys=buys, reserved_sells=sells)
    after = held + buys + quantity if side is Side.BUY else sells + quantity - held
    refused = verdict(position_quantity_holds, given_book=there, side=side, quantity=quantity)
    assert (refused is None) == (after <= LIMITS.max_position_quantity)


@given(st.lists(st.tuples(sides, st.integers(1, 60)), max_size=12), st.integers(-100, 100))
def test_orders_that_each_passed_cannot_break_the_limit_whichever_of_them_fill(
    orders: list[tuple[Side, int]], held: int
) -> None:
    reserved = {Side.BUY: 0, Side.SELL: 0}
    for side, quantity in orders:
        there = book(
            position=held,
            position_all_products=held,
            reserved_buys=reserved[Side.BUY],
            reserved_sells=reserved[Side.SELL],
        )
        if verdict(position_quantity_holds, given_book=there, side=side, quantity=quantity) is None:
            reserved[side] += quantity
    assert held + reserved[Side.BUY] <= LIMITS.max_position_quantity
    assert -(held - reserved[Side.SELL]) <= LIMITS.max_position_quantity


@given(quantities, rupees, st.integers(0, 200))
def test_the_position_value_holds_up_to_its_limit(quantity: int, price: Decimal, held: int) -> None:
    inside = price * (held + quantity) <= LIMITS.max_position_value
    there = book(position=held, position_all_products=held)
    assert (verdict(position_value_holds, given_book=there, quantity=quantity, **limit(str(price))) is None) == inside


@pytest.mark.parametrize(
    ("result", "code"), [("-9999.99", None), ("-10000", R.RISK_DAILY_LOSS), ("-20000", R.RISK_DAILY_LOSS), ("5", None)]
)
def test_the_days_loss_holds_below_its_limit(result: str, code: ReasonCode | None) -> None:
    assert verdict(daily_loss_holds, given_book=book(day_result=Decimal(result))) is code
    assert verdict(daily_loss_holds, given_book=FLAT.marked(Decimal(result))) is code


@pytest.mark.parametrize(
    ("terms", "view", "code"),
    [
        (limit("1100"), quote(), None),
        (limit("900"), quote(), None),
        (limit("1100.05"), quote(), R.RISK_PRICE_COLLAR),
        (limit("899.95"), quote(), R.RISK_PRICE_COLLAR),
        ({"order_type": OrderType.SL_M, "trigger_price": Decimal(1200)}, quote(), R.RISK_PRICE_COLLAR),
        ({}, quote(), None),
        (limit("5000"), quote(None), None),
        (limit("5000"), quote(age_s=60), None),  # an old quote says nothing about today's price
    ],
)
def test_a_price_lies_inside_the_collar_around_a_fresh_quote(
    terms: dict[str, Any], view: Any, code: ReasonCode | None
) -> None:
    assert verdict(price_is_inside_the_collar, view=view, **terms) is code


@pytest.mark.parametrize(
    ("threshold", "exit_", "approved", "asks"),
    [
        (None, False, False, False),
        (Decimal("9999.99"), False, False, True),
        (Decimal(10_000), False, False, False),
        (Decimal(1), True, False, False),
        (Decimal(1), False, True, False),
    ],
)
def test_an_entry_above_the_threshold_asks_for_a_person(
    threshold: Decimal | None, exit_: bool, approved: bool, asks: bool
) -> None:
    found = needs_approval(candidate(is_exit=exit_, approved=approved), limits(approval_value=threshold))
    assert (found is not None) == asks


def test_exits_are_asked_nothing_that_could_trap_a_position() -> None:
    trapping = {
        switch_permits, is_no_duplicate, quote_is_known, order_quantity_holds, order_value_holds,
        position_quantity_holds, position_value_holds, daily_loss_holds,
    }  # fmt: skip
    assert not trapping & set(EXIT_RULES)
    assert set(EXIT_RULES) <= set(ENTRY_RULES)
    assert set(RECHECK_RULES) <= set(ENTRY_RULES)


@given(quantities, st.sampled_from(TradingSwitch), st.integers(-(10**6), 0), st.integers(0, 3), st.booleans())
def test_no_state_of_the_book_denies_an_exit_at_market(
    quantity: int, switch: TradingSwitch, loss: int, twins: int, known: bool
) -> None:
    there = book(switch=switch, day_result=Decimal(loss), recent_twins=twins, position=quantity)
    leaving = candidate(is_exit=True, side=Side.SELL, quantity=quantity, view=quote() if known else quote(None))
    assert list(denials(leaving, there, LIMITS)) == []


def test_all_refusals_come_in_the_order_of_the_rules() -> None:
    broken = candidate(quantity=1000, view=quote(None), generated_at=NOW - timedelta(hours=1))
    there = book(switch=TradingSwitch.HALTED, recent_twins=1, day_result=Decimal(-(10**6)))
    found = [each.code for each in denials(broken, there, LIMITS)]
    assert found == [
        R.SWITCH_HALTED, R.SIGNAL_STALE, R.SIGNAL_DUPLICATE, R.RISK_ORDER_QUANTITY, R.MARKET_QUOTE_UNKNOWN,
        R.RISK_POSITION_QUANTITY, R.RISK_DAILY_LOSS,
    ]  # fmt: skip
