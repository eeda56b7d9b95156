"""Orders in several rows: summed into one report, under one id, whatever the order of the rows."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapanda.brokers.protocol import BrokerUnavailable
from alphapanda.brokers.zerodha.book import Book, Group
from alphapanda.brokers.zerodha.rows import UnreadableRow, entry, trade
from alphapanda.brokers.zerodha.slices import Shortfall
from alphapanda.domain.execution import BookStatus, OrderReport
from alphapanda.domain.ids import Tag
from tests.unit.brokers.zerodha.kite_rows import NOW, OURS, leg_row, order_row, slice_row, trade_row

DONE: dict[str, Any] = {"status": "COMPLETE", "filled_quantity": 10, "average_price": 1500.05, "pending_quantity": 0}


def book(*rows: dict[str, Any]) -> Book:
    return Book(list(rows), now=NOW)


def one(*rows: dict[str, Any]) -> OrderReport:
    (group,) = book(*rows).groups
    return group.report()


def test_slices_are_one_order_under_the_id_of_the_sliced_one() -> None:
    found = book(slice_row("2", **DONE), slice_row("1", **DONE), slice_row("3"), order_row("9", tag=None, tags=None))
    assert len(found.groups) == 2
    group = found.by_tag(Tag(OURS))
    assert group is not None
    report = group.report()
    assert report.broker_order_id == "99"
    assert (report.status, report.quantity, report.filled_quantity) == (BookStatus.OPEN, 30, 20)
    assert (report.average_price, report.whole) == (Decimal("1500.05"), False)
    for name in ("1", "2", "3", "99"):
        by_id = found.by_id(name)
        assert by_id is not None
        assert by_id.report() == report


def test_trades_of_slices_are_the_orders() -> None:
    group = Group(tuple(entry(slice_row(name, **DONE), now=NOW) for name in ("1", "2")))
    trades = [trade(trade_row("7", name), now=NOW) for name in ("1", "2")]
    report = group.report(trades)
    assert report.trades is not None
    assert [(each.broker_order_id, each.trade_id) for each in report.trades] == [("99", "1:7"), ("99", "2:7")]


def test_an_iceberg_is_as_large_as_all_its_legs_and_goes_on_between_them() -> None:
    report = one(leg_row("1", 1, **DONE))
    assert (report.status, report.quantity, report.filled_quantity) == (BookStatus.OPEN, 50, 10)
    assert (report.broker_order_id, report.whole) == ("1", False)
    finished = one(*(leg_row(str(leg), leg, **DONE) for leg in range(1, 6)))
    assert (finished.status, finished.filled_quantity) == (BookStatus.COMPLETE, 50)
    ended = one(leg_row("1", 1, **DONE), leg_row("2", 2, status="CANCELLED"))
    assert (ended.status, ended.quantity, ended.filled_quantity) == (BookStatus.CANCELLED, 50, 10)


@pytest.mark.parametrize(
    ("words", "fills", "status"),
    [
        (("OPEN", "COMPLETE"), (0, 10), BookStatus.OPEN),
        (("REJECTED", "TRIGGER PENDING"), (0, 0), BookStatus.TRIGGER_PENDING),
        (("PUT ORDER REQ RECEIVED", "TRIGGER PENDING"), (0, 0), BookStatus.TRIGGER_PENDING),
        (("OPEN PENDING", "COMPLETE"), (0, 10), BookStatus.PENDING),
        (("COMPLETE", "COMPLETE"), (10, 10), BookStatus.COMPLETE),
        (("COMPLETE", "COMPLETE"), (10, 9), BookStatus.COMPLETE),
        (("COMPLETE", "REJECTED"), (10, 0), BookStatus.CANCELLED),
        (("CANCELLED", "REJECTED"), (0, 0), BookStatus.CANCELLED),
        (("REJECTED", "REJECTED"), (0, 0), BookStatus.REJECTED),
        (("REJECTED", "REJECTED"), (3, 0), BookStatus.CANCELLED),
        (("CANCELLED", "CANCELLED"), (10, 10), BookStatus.COMPLETE),
    ],
)
def test_the_status_of_several_rows_is(words: tuple[str, ...], fills: tuple[int, ...], status: BookStatus) -> None:
    rows = [
        slice_row(str(number), status=word, filled_quantity=filled, average_price=1)
        for number, (word, filled) in enumerate(zip(words, fills, strict=True), start=1)
    ]
    assert one(*rows).status is status


_ROWS = st.lists(
    st.tuples(
        st.sampled_from(["OPEN", "OPEN PENDING", "COMPLETE", "CANCELLED", "REJECTED", "TRIGGER PENDING", "NEW WORD"]),
        st.integers(0, 10),
        st.integers(100, 200_000),
    ),
    min_size=1,
    max_size=8,
)


@given(rows=_ROWS, data=st.data())
def test_a_sum_loses_nothing_and_depends_on_no_order(rows: list[tuple[str, int, int]], data: st.DataObject) -> None:
    made = [
        slice_row(str(number), status=word, filled_quantity=filled, average_price=paise / 100 if filled else 0)
        for number, (word, filled, paise) in enumerate(rows, start=1)
    ]
    report = one(*made)
    assert report == one(*data.draw(st.permutations(made)))
    assert report.quantity == 10 * len(rows)
    assert report.filled_quantity == sum(filled for _, filled, _ in rows)
    working = any(word not in ("COMPLETE", "CANCELLED", "REJECTED") for word, _, _ in rows)
    assert report.status.is_final is not working
    if report.filled_quantity:
        prices = [Decimal(paise) / 100 for _, filled, paise in rows if filled]
        assert report.average_price is not None
        assert min(prices) <= report.average_price <= max(prices)


def test_a_tag_people_use_often_does_not_make_one_order_of_many() -> None:
    found = book(order_row("1", tag="swing", tags=["swing"]), order_row("2", tag="swing", tags=["swing"]))
    assert [group.broker_order_id for group in found.groups] == ["1", "2"]


def test_a_tag_of_ours_on_two_orders_counts_both() -> None:
    """Sent again after the book had proved it absent, and both came through: what was bought is what was bought."""
    report = one(order_row("1", **DONE), order_row("2", **DONE))
    assert (report.broker_order_id, report.quantity, report.filled_quantity) == ("1", 20, 20)


def test_what_cannot_be_read_is_not_absent() -> None:
    found = book(order_row("1", exchange="BCD"))
    with pytest.raises(BrokerUnavailable):
        found.by_tag(Tag(OURS))
    with pytest.raises(BrokerUnavailable):
        found.by_id("1")
    assert found.by_tag(Tag("ANOTHER")) is None
    assert found.by_id("2") is None


def test_an_answer_that_is_no_book_is_none() -> None:
    with pytest.raises(UnreadableRow):
        Book({"orders": []}, now=NOW)


def test_what_was_not_placed_is_told_once_the_book_shows_all_that_was() -> None:
    shortfall = Shortfall(35, frozenset({"1", "2"}), "Insufficient funds.")
    (some,) = book(slice_row("1")).groups
    assert shortfall.told_in(some.report(), some) == some.report()
    (every,) = book(slice_row("1"), slice_row("2")).groups
    told = shortfall.told_in(every.report(), every)
    assert (told.unplaced_quantity, told.message) == (15, "Insufficient funds.")
