"""Reports read late, twice, out of order or in part: the fills come out the same, and an end stays an end."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapanda.domain.execution import BookStatus, OrderReport, TradeReport
from alphapanda.domain.states import TERMINAL, TRANSITIONS, WORKING, OrderState
from alphapanda.domain.tracking import Progress, observe, observe_replaced, unseen_trades
from alphapanda.domain.vocabulary import Exchange, OrderType, Product, Side

S = OrderState
B = BookStatus
NOW = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)

AT_THE_BROKER = frozenset({S.SUBMITTING, S.UNKNOWN, S.PARKED, S.AWAITING_AUTH}) | WORKING
"""States in which the broker's book may show the order."""

WHAT: dict[str, Any] = {
    "exchange": Exchange.NSE,
    "tradingsymbol": "INFY",
    "side": Side.BUY,
    "product": Product.MIS,
}


def trade(number: int, quantity: int = 1, price: str = "100") -> TradeReport:
    return TradeReport(
        trade_id=f"t{number}", broker_order_id="1", quantity=quantity, price=Decimal(price),
        traded_at=NOW + timedelta(seconds=number), **WHAT,
    )  # fmt: skip


def report(status: BookStatus, *trades: TradeReport, quantity: int = 10, read: bool = True, **more: Any) -> OrderReport:
    return OrderReport(
        broker_order_id="1",
        tag="T",
        status=status,
        order_type=OrderType.LIMIT,
        quantity=quantity,
        filled_quantity=sum(each.quantity for each in trades),
        average_price=None,
        updated_at=NOW,
        trades=trades if read else None,
        **WHAT,
        **more,
    )


def at(state: OrderState, filled: int = 0) -> Progress:
    trades = [trade(1000 + number) for number in range(filled)]
    return Progress(state, 10, filled, Decimal(100) * filled, frozenset(each.trade_id for each in trades))


def begun(state: OrderState) -> Progress:
    """As an order in that state may be: only one with fills is part-filled."""
    return at(state, {S.PARTIALLY_FILLED: 4, S.FILLED: 10}.get(state, 0))


trade_lists = st.lists(
    st.builds(trade, st.integers(0, 30), st.just(1), st.sampled_from(["99.95", "100", "100.05"])), max_size=12
).map(lambda trades: tuple({each.trade_id: each for each in trades}.values())[:10])
reports = st.builds(
    lambda status, trades, whole, unplaced: report(status, *trades, whole=whole, unplaced_quantity=unplaced),
    st.sampled_from(BookStatus),
    trade_lists,
    st.booleans(),
    st.sampled_from([0, 0, 0, 3, 10]),
)
partial = st.builds(
    lambda status, trades, quantity, unplaced: report(
        status, *trades, quantity=quantity, whole=False, unplaced_quantity=unplaced
    ),
    st.sampled_from(BookStatus),
    trade_lists,
    st.integers(0, 10),
    st.integers(0, 10),
)


@pytest.mark.parametrize(
    ("state", "status", "filled", "becomes"),
    [
        (S.SUBMITTING, B.OPEN, 0, S.OPEN),
        (S.SUBMITTING, B.TRIGGER_PENDING, 0, S.OPEN),
        (S.SUBMITTING, B.PENDING, 0, S.OPEN),
        (S.SUBMITTING, B.OPEN, 4, S.PARTIALLY_FILLED),
        (S.SUBMITTING, B.COMPLETE, 10, S.FILLED),
        (S.SUBMITTING, B.REJECTED, 0, S.REJECTED),
        (S.SUBMITTING, B.CANCELLED, 4, S.CANCELLED),
        (S.UNKNOWN, B.EXPIRED, 0, S.EXPIRED),
        (S.OPEN, B.EXPIRED, 0, S.EXPIRED),
        (S.OPEN, B.REJECTED, 0, S.REJECTED),
        (S.OPEN, B.REJECTED, 4, S.CANCELLED),
        (S.PARTIALLY_FILLED, B.EXPIRED, 4, S.EXPIRED),
        (S.CANCELLED, B.COMPLETE, 10, S.FILLED),
        (S.CANCELLED, B.OPEN, 4, S.PARTIALLY_FILLED),
        (S.CANCELLED, B.CANCELLED, 4, S.CANCELLED),
        (S.CANCELLED, B.OPEN, 0, S.CANCELLED),
        (S.EXPIRED, B.OPEN, 4, S.PARTIALLY_FILLED),
        (S.REJECTED, B.COMPLETE, 10, S.REJECTED),
        (S.FILLED, B.CANCELLED, 10, S.FILLED),
    ],
)
def test_what_a_report_makes_of_an_order(
    state: OrderState, status: BookStatus, filled: int, becomes: OrderState
) -> None:
    seen = observe(Progress(state, 10), report(status, *(trade(number) for number in range(filled))))
    assert seen.progress.state is becomes
    assert seen.progress.filled_quantity == filled


def test_complete_without_its_trades_is_still_working() -> None:
    seen = observe(at(S.OPEN), report(B.COMPLETE, read=False))
    assert seen.progress.state is S.OPEN
    assert not seen.changed
    seen = observe(at(S.OPEN), report(B.COMPLETE, trade(1, 4)))
    assert seen.progress.state is S.PARTIALLY_FILLED


def test_a_step_through_open_is_entered_as_such() -> None:
    seen = observe(Progress(S.UNKNOWN, 10), report(B.EXPIRED))
    assert [state for state, _ in seen.entered] == [S.OPEN, S.EXPIRED]


def test_a_quantity_the_broker_lowered_to_what_is_filled_ends_the_order() -> None:
    seen = observe(at(S.PARTIALLY_FILLED, 4), report(B.OPEN, quantity=4))
    assert seen.progress.state is S.FILLED


def test_more_filled_than_ordered_is_booked_as_it_is() -> None:
    seen = observe(at(S.OPEN), report(B.COMPLETE, trade(1, 12)))
    assert (seen.progress.state, seen.progress.filled_quantity) == (S.FILLED, 12)


def test_a_late_fill_tells_what_the_order_was() -> None:
    seen = observe(at(S.CANCELLED), report(B.COMPLETE, trade(1, 10)))
    assert str(seen.entered[0][1]) == "BROKER_LATE_FILL: was=CANCELLED, filled=10/10"


@given(st.sampled_from(sorted(AT_THE_BROKER | {S.FILLED, S.CANCELLED, S.EXPIRED, S.REJECTED})), st.lists(reports))
def test_no_sequence_of_reports_raises_unfills_or_leaves_the_table(
    state: OrderState, sequence: list[OrderReport]
) -> None:
    progress = begun(state)
    for each in sequence:
        seen = observe(progress, each)
        assert seen.progress.filled_quantity >= progress.filled_quantity
        assert seen.progress.filled_quantity == progress.filled_quantity + sum(t.quantity for t in seen.new_trades)
        assert progress.trade_ids <= seen.progress.trade_ids
        current = progress.state
        for entered, _ in seen.entered:
            assert entered in TRANSITIONS[current]
            current = entered
        assert current is seen.progress.state
        if progress.state in TERMINAL and not seen.new_trades and each.quantity > seen.progress.filled_quantity:
            assert seen.progress.state is progress.state
        progress = seen.progress


@given(st.sampled_from(sorted(AT_THE_BROKER)), reports)
def test_the_same_report_again_changes_nothing(state: OrderState, once: OrderReport) -> None:
    seen = observe(begun(state), once)
    again = observe(seen.progress, once)
    assert again.progress == seen.progress
    assert not again.changed


@given(trade_lists, st.data())
def test_the_order_in_which_trades_become_known_does_not_matter(
    trades: tuple[TradeReport, ...], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(trades))
    cut = data.draw(st.integers(0, len(trades)))
    at_once = observe(at(S.OPEN), report(B.OPEN, *trades)).progress
    in_parts = at(S.OPEN)
    for part in (shuffled[:cut], shuffled[cut:], shuffled):
        in_parts = observe(in_parts, report(B.OPEN, *part)).progress
    assert in_parts == at_once


@given(trade_lists)
def test_the_average_is_the_turnover_over_the_quantity(trades: tuple[TradeReport, ...]) -> None:
    progress = observe(at(S.OPEN), report(B.OPEN, *trades)).progress
    if trades:
        exact = sum((each.price * each.quantity for each in trades), Decimal(0)) / progress.filled_quantity
        assert progress.average_price is not None
        assert abs(progress.average_price - exact) <= Decimal("0.00005")
    else:
        assert progress.average_price is None


def test_unseen_trades_come_once_each_and_oldest_first() -> None:
    found = unseen_trades(frozenset({"t2"}), [trade(3), trade(1), trade(2), trade(3)])
    assert [each.trade_id for each in found] == ["t1", "t3"]


# --- worked in parts ---------------------------------------------------------------------------------------------


def test_the_legs_shown_so_far_do_not_shrink_the_order() -> None:
    seen = observe(at(S.OPEN), report(B.COMPLETE, trade(1, 2), quantity=2, whole=False))
    assert (seen.progress.state, seen.progress.quantity) == (S.PARTIALLY_FILLED, 10)


def test_what_the_broker_refused_of_a_sliced_order_is_told_with_its_placing() -> None:
    placed = report(B.OPEN, quantity=7, whole=False, unplaced_quantity=3, message="slice 4: no margin")
    seen = observe(Progress(S.SUBMITTING, 10), placed)
    assert str(seen.entered[0][1]) == "BROKER_ACCEPTED: status=OPEN, unplaced=3, message=slice 4: no margin"
    assert (seen.progress.quantity, seen.progress.unplaced) == (10, 3)


def test_a_sliced_order_ends_cancelled_when_all_that_was_placed_is_filled() -> None:
    placed = report(B.OPEN, quantity=7, whole=False, unplaced_quantity=3, message="no margin")
    progress = observe(Progress(S.SUBMITTING, 10), placed).progress
    trades = [trade(number) for number in range(7)]
    working = observe(progress, report(B.OPEN, *trades, quantity=7, whole=False))
    assert working.progress.state is S.PARTIALLY_FILLED  # not everything placed has ended yet
    ended = observe(working.progress, report(B.COMPLETE, *trades, quantity=7, whole=False))
    assert (ended.progress.state, ended.progress.filled_quantity) == (S.CANCELLED, 7)
    assert str(ended.entered[0][1]) == "BROKER_SLICES_REFUSED: filled=7/10, unplaced=3, message=no margin"


def test_a_sliced_order_of_which_nothing_was_placed_or_filled_is_rejected() -> None:
    seen = observe(Progress(S.SUBMITTING, 10), report(B.REJECTED, quantity=0, whole=False, unplaced_quantity=10))
    assert seen.progress.state is S.REJECTED
    assert seen.entered[0][1].code == "BROKER_SLICES_REFUSED"


def test_a_slice_that_turns_up_after_it_was_called_refused_still_fills_the_order() -> None:
    progress = Progress(S.PARTIALLY_FILLED, 10, 7, Decimal(700), frozenset(f"t{n}" for n in range(7)), unplaced=3)
    seen = observe(progress, report(B.COMPLETE, *(trade(number) for number in range(10)), whole=False))
    assert (seen.progress.state, seen.progress.filled_quantity) == (S.FILLED, 10)


@given(st.sampled_from(sorted(AT_THE_BROKER)), st.lists(partial))
def test_an_order_shown_in_parts_never_gets_smaller(state: OrderState, sequence: list[OrderReport]) -> None:
    progress = begun(state)
    for each in sequence:
        seen = observe(progress, each).progress
        assert seen.quantity >= progress.quantity
        assert seen.unplaced >= progress.unplaced
        if seen.state in (S.CANCELLED, S.REJECTED) and progress.state not in TERMINAL:
            assert each.status.is_final
        progress = seen


# --- replaced at the broker --------------------------------------------------------------------------------------


def replaced(state: OrderState, filled_before: int) -> Progress:
    before = at(state, filled_before)
    return Progress(state, 10, filled_before, before.turnover, before.trade_ids, base=filled_before)


def test_the_order_in_its_place_fills_the_rest() -> None:
    progress = replaced(S.SUBMITTING, 4)
    working = observe(progress, report(B.OPEN, quantity=6))
    assert (working.progress.state, working.progress.quantity) == (S.PARTIALLY_FILLED, 10)
    done = observe(working.progress, report(B.COMPLETE, *(trade(number) for number in range(6)), quantity=6))
    assert (done.progress.state, done.progress.filled_quantity) == (S.FILLED, 10)


def test_a_late_fill_of_the_replaced_order_comes_on_top() -> None:
    progress = observe(replaced(S.SUBMITTING, 4), report(B.OPEN, quantity=6)).progress
    late = observe_replaced(progress, report(B.CANCELLED, trade(50, 2)))
    assert (late.progress.filled_quantity, late.progress.quantity, late.progress.base) == (6, 12, 6)
    done = observe(late.progress, report(B.COMPLETE, *(trade(number) for number in range(6)), quantity=6))
    assert (done.progress.state, done.progress.filled_quantity) == (S.FILLED, 12)


def test_a_late_fill_of_the_replaced_order_is_booked_after_the_end() -> None:
    ended = replaced(S.CANCELLED, 4)
    late = observe_replaced(ended, report(B.CANCELLED, trade(50, 2)))
    assert (late.progress.state, late.progress.filled_quantity, late.progress.quantity) == (S.CANCELLED, 6, 10)
    full = observe_replaced(late.progress, report(B.COMPLETE, trade(51, 4)))
    assert (full.progress.state, str(full.entered[0][1])) == (
        S.FILLED, "BROKER_LATE_FILL: was=replaced, filled=10/10",
    )  # fmt: skip


replacing_states = st.sampled_from(sorted(AT_THE_BROKER | {S.FILLED, S.CANCELLED, S.EXPIRED}))


@given(replacing_states, st.integers(0, 9), st.lists(st.tuples(st.booleans(), reports)))
def test_reports_of_both_orders_in_any_order_count_each_trade_once(
    state: OrderState, before: int, sequence: list[tuple[bool, OrderReport]]
) -> None:
    filled = {S.PARTIALLY_FILLED: max(before, 1), S.FILLED: 10, S.OPEN: 0}.get(state, before)
    progress = replaced(state, filled)
    for of_replaced, each in sequence:
        seen = observe_replaced(progress, each) if of_replaced else observe(progress, each)
        assert seen.progress.filled_quantity == progress.filled_quantity + sum(t.quantity for t in seen.new_trades)
        assert seen.progress.filled_quantity <= seen.progress.quantity
        current = progress.state
        for entered, _ in seen.entered:
            assert entered in TRANSITIONS[current]
            current = entered
        assert current is seen.progress.state
        progress = seen.progress
