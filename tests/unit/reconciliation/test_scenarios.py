"""Every scenario of docs/reconciliation.md, by the name it has there."""

from datetime import timedelta
from decimal import Decimal

import pytest

from alphapanda.domain.execution import BookStatus
from alphapanda.domain.ids import next_tag
from alphapanda.domain.states import OrderState
from alphapanda.domain.vocabulary import Product, Side
from alphapanda.reconciliation.outcome import ABOUT_POSITIONS, ABOUT_TRADES, DriftKind, Outcome
from alphapanda.reconciliation.views import Account
from tests.unit.reconciliation.books import (
    INFY,
    LOST,
    NOW,
    booked,
    compare,
    holding,
    kinds,
    ledger,
    nudged,
    ours,
    position,
    row,
    tag_of,
    trade,
)

K = DriftKind
S = OrderState
INFY_CNC = Account("NSE", "INFY", "CNC")
INFY_MTF = Account("NSE", "INFY", "MTF")
NIFTY = Account("NFO", "NIFTY26NOVFUT", "NRML")


def quiet(outcome: Outcome) -> bool:
    return not (outcome.findings or outcome.nudges or outcome.adoptions)


# --- orders ----------------------------------------------------------------------------------------------------


def test_equal_books_are_left_alone() -> None:
    done = trade(quantity=10)
    view = ledger(ours(state=S.FILLED, filled_quantity=10), ours("two"), fills=(booked(done),))
    rows = [row(status=BookStatus.COMPLETE, filled_quantity=10), row("two")]
    assert quiet(compare(view, trades=[done], orders=rows, positions=[position(10)]))


@pytest.mark.parametrize("status", [BookStatus.CANCELLED, BookStatus.REJECTED, BookStatus.EXPIRED, BookStatus.COMPLETE])
def test_an_order_that_ended_at_the_broker_is_told_to_its_workflow(status: BookStatus) -> None:
    outcome = compare(ledger(ours()), orders=[row(status=status)])
    assert (nudged(outcome), kinds(outcome)) == (["one"], [])


def test_a_fill_the_ledger_misses_is_told_to_the_order_s_workflow() -> None:
    outcome = compare(ledger(ours()), orders=[row(filled_quantity=4)])
    assert (nudged(outcome), kinds(outcome)) == (["one"], [])
    assert outcome.nudges[0].numbers == ("N-one",)


def test_a_fill_of_an_ended_order_is_told_too() -> None:
    outcome = compare(ledger(ours(state=S.CANCELLED)), orders=[row(status=BookStatus.CANCELLED, filled_quantity=4)])
    assert nudged(outcome) == ["one"]


@pytest.mark.parametrize("state", [S.UNKNOWN, S.PARKED])
def test_an_order_in_doubt_that_is_in_the_book_is_told_to_its_workflow(state: OrderState) -> None:
    outcome = compare(ledger(ours(state=state, broker_order_id=None)), orders=[row()])
    assert (nudged(outcome), kinds(outcome)) == (["one"], [])


def test_an_order_in_doubt_that_the_broker_only_holds_is_left_to_its_workflow() -> None:
    assert quiet(compare(ledger(ours(state=S.PARKED)), orders=[row(status=BookStatus.PENDING)]))


def test_an_order_in_doubt_that_is_not_in_the_book_is_left_to_its_workflow() -> None:
    assert quiet(compare(ledger(ours(state=S.UNKNOWN)), orders=[]))


def test_an_order_that_is_not_in_the_book_is_drift_and_never_expired_from_here() -> None:
    yesterday = ours(updated_on=NOW.date() - timedelta(days=1))
    outcome = compare(ledger(yesterday), orders=[])
    assert (nudged(outcome), kinds(outcome)) == (["one"], [K.ORDER_NOT_IN_BOOK])
    assert outcome.findings[0].evidence["ledger"]["updated_on"] == "2026-11-18"


@pytest.mark.parametrize("state", [S.CANCELLED, S.REJECTED, S.EXPIRED, S.DENIED, S.FAILED])
def test_an_order_that_works_on_after_its_end_is_drift(state: OrderState) -> None:
    assert kinds(compare(ledger(ours(state=state)), orders=[row()])) == [K.ORDER_STILL_WORKING]


def test_more_filled_than_the_book_shows_is_drift_and_nothing_is_taken_back() -> None:
    done = trade()
    view = ledger(ours(state=S.PARTIALLY_FILLED, filled_quantity=4), fills=(booked(done),))
    outcome = compare(view, trades=[done], orders=[row(filled_quantity=3)], positions=[position(4)])
    assert (nudged(outcome), kinds(outcome)) == ([], [K.ORDER_FILLED_MORE])


def test_an_order_placed_twice_is_drift() -> None:
    outcome = compare(ledger(ours()), orders=[row(), row(broker_order_id="N-again")])
    assert kinds(outcome) == [K.ORDER_LARGER]
    assert len(outcome.findings[0].evidence["book"]) == 2


def test_an_order_made_larger_by_hand_is_drift() -> None:
    assert kinds(compare(ledger(ours()), orders=[row(quantity=30)])) == [K.ORDER_LARGER]


def test_an_order_replaced_at_the_broker_is_one_order_in_two_rows() -> None:
    first, second = tag_of("one"), next_tag(tag_of("one"))
    early = trade("T1", "before")
    view = ledger(
        ours(state=S.PARTIALLY_FILLED, tag=second, filled_quantity=4), fills=(booked(early),), positions={INFY: 4}
    )
    rows = [
        row(tag=first, broker_order_id="N-before", status=BookStatus.CANCELLED, filled_quantity=4),
        row(tag=second, quantity=6),
    ]
    assert quiet(compare(view, trades=[early], orders=rows, positions=[position(4)]))
    late = trade("T2", "before")
    outcome = compare(view, trades=[early, late], orders=rows, positions=[position(8)])
    assert (nudged(outcome), outcome.adoptions) == (["one"], ())
    assert outcome.nudges[0].numbers == ("N-before",)


def test_a_tag_of_our_form_that_the_ledger_does_not_know_is_drift_and_its_trades_are_adopted() -> None:
    outcome = compare(ledger(), trades=[trade()], orders=[row(filled_quantity=4)], positions=[position(4)])
    assert kinds(outcome) == [K.ORDER_TAG_UNKNOWN]
    assert [each.broker_order_id for each in outcome.adoptions] == ["N-one"]


@pytest.mark.parametrize("tag", [None, "swing", "my-other-bot"])
def test_orders_of_others_that_rest_are_nobody_s_business_here(tag: str | None) -> None:
    assert quiet(compare(ledger(), orders=[row(tag=tag)]))


# --- trades ----------------------------------------------------------------------------------------------------


def test_trades_that_nobody_here_ordered_are_adopted_as_external() -> None:
    theirs = row(tag=None, status=BookStatus.COMPLETE, filled_quantity=8, quantity=8)
    both = [trade("T1"), trade("T2")]
    outcome = compare(ledger(), trades=both, orders=[theirs], positions=[position(8)])
    assert (kinds(outcome), nudged(outcome)) == ([], [])
    assert [(each.broker_order_id, each.trades) for each in outcome.adoptions] == [("N-one", tuple(both))]


def test_a_square_off_by_the_broker_is_adopted_and_leaves_the_position_flat() -> None:
    bought, sold = trade("T1", quantity=10), trade("T2", "rms", side=Side.SELL, quantity=10)
    view = ledger(ours(state=S.FILLED, filled_quantity=10), fills=(booked(bought),))
    rows = [
        row(status=BookStatus.COMPLETE, filled_quantity=10),
        row("rms", tag=None, side=Side.SELL, status=BookStatus.COMPLETE, filled_quantity=10),
    ]
    outcome = compare(view, trades=[bought, sold], orders=rows)
    assert (kinds(outcome), [each.trades for each in outcome.adoptions]) == ([], [(sold,)])


def test_what_is_adopted_already_is_left_alone() -> None:
    theirs = trade()
    view = ledger(fills=(booked(theirs, None),))
    assert quiet(compare(view, trades=[theirs], orders=[row(tag=None, filled_quantity=4)], positions=[position(4)]))


def test_a_trade_of_ours_whose_reply_was_lost_is_ours_by_its_tag() -> None:
    view = ledger(ours(state=S.UNKNOWN, broker_order_id=None))
    outcome = compare(view, trades=[trade()], orders=[row(filled_quantity=4)], positions=[position(4)])
    assert (nudged(outcome), outcome.adoptions) == (["one"], ())


def test_a_trade_of_ours_whose_row_lost_its_tag_is_ours_by_its_number() -> None:
    view = ledger(ours())
    outcome = compare(view, trades=[trade()], orders=[row(tag=None, filled_quantity=4)], positions=[position(4)])
    assert (nudged(outcome), outcome.adoptions) == (["one"], ())


def test_a_trade_of_ours_that_stays_unbooked_is_drift() -> None:
    outcome = compare(ledger(ours()), trades=[trade()], orders=[row(filled_quantity=4)], positions=[position(4)])
    assert kinds(outcome) == [K.TRADE_NOT_BOOKED]


def test_a_trade_whose_order_the_book_does_not_show_is_drift_and_not_adopted() -> None:
    outcome = compare(ledger(), trades=[trade()], orders=[], positions=[position(4)])
    assert (kinds(outcome), outcome.adoptions) == ([K.TRADE_WITHOUT_ORDER], ())


def test_a_fill_of_the_day_that_the_broker_does_not_show_is_drift_and_not_taken_back() -> None:
    outcome = compare(ledger(fills=(booked(trade()),)))
    assert kinds(outcome) == [K.TRADE_NOT_AT_BROKER]


def test_a_fill_booked_while_the_broker_was_read_is_no_drift() -> None:
    just_now = booked(trade(), booked_at=NOW + timedelta(seconds=1))
    assert quiet(compare(ledger(fills=(just_now,))))


def test_fills_of_earlier_days_are_not_looked_for_in_today_s_trades() -> None:
    old = booked(trade(traded_at=NOW - timedelta(days=1)))
    assert quiet(compare(ledger(fills=(old,)), positions=[position(4)]))


def test_a_fill_that_differs_from_the_broker_s_trade_is_drift() -> None:
    done = trade()
    view = ledger(fills=(booked(done, price=Decimal("1500.05")),))
    outcome = compare(view, trades=[done], orders=[row(tag=None, filled_quantity=4)], positions=[position(4)])
    assert kinds(outcome) == [K.TRADE_DIFFERS]


# --- positions and holdings ------------------------------------------------------------------------------------


def test_a_position_that_fills_do_not_explain_is_drift_with_both_numbers() -> None:
    outcome = compare(ledger(positions={NIFTY: 130}), positions=[position(65, NIFTY)])
    assert kinds(outcome) == [K.POSITION_QUANTITY]
    assert outcome.findings[0].key == "NFO:NIFTY26NOVFUT:NRML"
    assert outcome.findings[0].evidence == {"broker": 65, "ledger": 130, "trades_of_the_day": []}


def test_a_position_the_broker_does_not_list_is_flat_there() -> None:
    assert kinds(compare(ledger(positions={NIFTY: 130}))) == [K.POSITION_QUANTITY]


def test_a_position_in_something_never_traded_here_is_unexplained() -> None:
    assert kinds(compare(ledger(), positions=[position(65, NIFTY)])) == [K.POSITION_UNEXPLAINED]


def test_a_position_converted_to_another_product_is_drift_in_both() -> None:
    moved = Account("NFO", "NIFTY26NOVFUT", "MIS")
    outcome = compare(ledger(positions={NIFTY: 65}), positions=[position(65, moved)])
    assert kinds(outcome) == [K.POSITION_UNEXPLAINED, K.POSITION_QUANTITY]


def test_trades_still_to_be_booked_count_before_positions_are_compared() -> None:
    outcome = compare(ledger(ours()), trades=[trade()], orders=[row(filled_quantity=4)], positions=[position(4)])
    assert K.POSITION_QUANTITY not in kinds(outcome)


def test_a_position_that_traded_while_the_broker_was_read_is_not_judged() -> None:
    outcome = compare(ledger(positions={INFY: 0}), positions=[position(4)], later_trades=[trade()])
    assert kinds(outcome) == []
    assert not outcome.has_judged(K.POSITION_QUANTITY, str(INFY))
    assert outcome.has_judged(K.POSITION_QUANTITY, str(NIFTY))


def test_shares_bought_for_delivery_are_found_again_among_the_holdings() -> None:
    view = ledger(positions={INFY_CNC: 10, INFY_MTF: 5})
    assert quiet(compare(view, holdings=[holding(15)]))
    assert quiet(compare(view, positions=[position(5, INFY_MTF)], holdings=[holding(10, exchange="BSE")]))


def test_shares_sold_from_the_holdings_count_until_they_are_delivered() -> None:
    assert quiet(compare(ledger(positions={INFY_CNC: 6}), positions=[position(-4, INFY_CNC)], holdings=[holding(10)]))


def test_shares_from_before_the_ledger_are_no_drift() -> None:
    assert quiet(compare(ledger(), holdings=[holding(500)]))
    assert quiet(compare(ledger(positions={INFY_CNC: 10}), holdings=[holding(510)]))
    assert quiet(
        compare(ledger(positions={INFY_CNC: -10}), positions=[position(-10, INFY_CNC)], holdings=[holding(10)])
    )
    assert quiet(compare(ledger(positions={INFY_CNC: -10})))  # sold out and delivered


def test_shares_the_ledger_has_and_the_broker_has_not_are_drift() -> None:
    outcome = compare(ledger(positions={INFY_CNC: 10}), holdings=[holding(6)])
    assert kinds(outcome) == [K.POSITION_QUANTITY]
    assert outcome.findings[0].evidence == {"position": 0, "holdings": 6, "ledger": 10}


def test_delivery_that_today_s_trades_do_not_explain_is_drift() -> None:
    assert kinds(compare(ledger(positions={INFY_CNC: 0}), positions=[position(4, INFY_CNC)])) == [K.POSITION_QUANTITY]
    assert kinds(compare(ledger(), positions=[position(4, INFY_CNC)])) == [K.POSITION_UNEXPLAINED]


def test_average_prices_and_cash_are_not_compared() -> None:
    there = position(4).model_copy(update={"average_price": Decimal(1)})
    assert quiet(compare(ledger(positions={INFY: 4}), positions=[there], margins=LOST))


# --- what could not be read ------------------------------------------------------------------------------------

DIFFERENT = {
    "trades": [trade("T1", "theirs"), trade("T9", "nowhere")],
    "orders": [row("theirs", tag=None, filled_quantity=4), row("unknown")],
    "positions": [position(65, NIFTY)],
    "holdings": [holding(1, "TCS")],
}
CONCLUSIONS = {
    "trades": {K.ORDER_NOT_IN_BOOK, K.ORDER_TAG_UNKNOWN},
    "orders": set(),
    "positions": {K.ORDER_NOT_IN_BOOK, K.ORDER_TAG_UNKNOWN, K.TRADE_WITHOUT_ORDER, K.TRADE_NOT_AT_BROKER},
    "later_trades": {K.ORDER_NOT_IN_BOOK, K.ORDER_TAG_UNKNOWN, K.TRADE_WITHOUT_ORDER, K.TRADE_NOT_AT_BROKER},
}
UNJUDGED_WITHOUT = {
    "trades": ABOUT_TRADES | ABOUT_POSITIONS,
    "orders": frozenset(K),
    "positions": ABOUT_POSITIONS,
    "later_trades": ABOUT_POSITIONS,
}


@pytest.mark.parametrize("part", CONCLUSIONS)
def test_a_part_that_could_not_be_read_says_nothing(part: str) -> None:
    shares = Account("NSE", "TCS", Product.CNC)
    view = ledger(ours(), fills=(booked(trade("T8")),), positions={NIFTY: 0, shares: 9})
    everything = compare(view, **DIFFERENT)
    assert set(kinds(everything)) == CONCLUSIONS["positions"] | {K.POSITION_QUANTITY}
    outcome = compare(view, **{**DIFFERENT, part: LOST})
    assert set(kinds(outcome)) == CONCLUSIONS[part]
    assert outcome.judged == everything.judged - UNJUDGED_WITHOUT[part]
    assert bool(outcome.adoptions) == (part not in ("trades", "orders"))


def test_holdings_that_could_not_be_read_leave_delivery_unjudged() -> None:
    shares = Account("NSE", "TCS", Product.CNC)
    outcome = compare(ledger(positions={NIFTY: 1, shares: 9}), holdings=LOST)
    assert [finding.key for finding in outcome.findings] == [str(NIFTY)]
    assert not outcome.has_judged(K.POSITION_QUANTITY, "TCS:delivery")


def test_nothing_read_is_nothing_found() -> None:
    view = ledger(ours(), fills=(booked(trade()),))
    outcome = compare(view, trades=LOST, orders=LOST, positions=LOST, holdings=LOST, margins=LOST, later_trades=LOST)
    assert quiet(outcome)
    assert outcome.judged == frozenset()
