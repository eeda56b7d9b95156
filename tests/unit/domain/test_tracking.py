"""Reports read late, twice, out of order or in part: the fills come out the same, and an end stays an end."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapanda.domain.execution import BookStatus, OrderReport, TradeReport
from alphapanda.domain.states import TERMINAL, TRANSITIONS, WORKING, OrderState
from alphapanda.domain.tracking import Progress, observe, unseen_trades
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


def report(status: BookStatus, *trades: TradeReport, quantity: int = 10, read: bool = True) -> OrderReport:
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
reports = st.builds(lambda status, trades: report(status, *trades), st.sampled_from(BookStatus), trade_lists)


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
