"""Kite's rows as ours: words, exact numbers, times; and rows that have no form here."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapanda.brokers.zerodha import rows
from alphapanda.brokers.zerodha.book import Book, TradeBook
from alphapanda.brokers.zerodha.rows import UnreadableRow, entry
from alphapanda.brokers.zerodha.values import caller_tag, exact, positive, tags_of, time_of
from alphapanda.domain.execution import BookStatus
from alphapanda.domain.vocabulary import Variety
from tests.conftest import SHARED
from tests.unit.brokers.zerodha.kite_rows import NOW, OURS, leg_row, order_row, slice_row, trade_row

MOCKS = SHARED / "data" / "kite-mocks"
needs_shapes = pytest.mark.skipif(not MOCKS.is_dir(), reason="the shapes of real responses are not here")


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("OPEN", BookStatus.OPEN),
        ("AMO REQ RECEIVED", BookStatus.OPEN),
        ("MODIFIED", BookStatus.OPEN),
        ("MODIFY PENDING", BookStatus.OPEN),
        ("MODIFY VALIDATION PENDING", BookStatus.OPEN),
        ("CANCEL PENDING", BookStatus.OPEN),
        ("TRIGGER PENDING", BookStatus.TRIGGER_PENDING),
        ("COMPLETE", BookStatus.COMPLETE),
        ("CANCELLED", BookStatus.CANCELLED),
        ("REJECTED", BookStatus.REJECTED),
        ("PUT ORDER REQ RECEIVED", BookStatus.PENDING),
        ("VALIDATION PENDING", BookStatus.PENDING),
        ("OPEN PENDING", BookStatus.PENDING),
        ("UPDATE", BookStatus.PENDING),
        (None, BookStatus.PENDING),
    ],
)
def test_a_status_is_read_as(word: str | None, status: BookStatus) -> None:
    assert entry(order_row(status=word), now=NOW).report.status is status


@given(word=st.text())
def test_an_unknown_status_never_ends_an_order(word: str) -> None:
    report = entry(order_row(status=word), now=NOW).report
    assert not report.status.is_final or word in ("COMPLETE", "CANCELLED", "REJECTED")


def test_a_cancelled_order_that_shows_one_pending_is_cancelled() -> None:
    row = order_row(status="CANCELLED", pending_quantity=1, cancelled_quantity=0, filled_quantity=9)
    report = entry(row, now=NOW).report
    assert (report.status, report.filled_quantity) == (BookStatus.CANCELLED, 9)


def test_a_row_is_read_whole() -> None:
    row = order_row("1914227164488687616", status="TRIGGER PENDING", order_type="SL", trigger_price=1510.1, price=1512)
    read = entry(row, now=NOW)
    report = read.report
    assert report.broker_order_id == "1914227164488687616"
    assert (report.tag, report.whole, report.variety) == (OURS, True, Variety.REGULAR)
    assert (report.price, report.trigger_price, report.average_price) == (Decimal(1512), Decimal("1510.1"), None)
    assert report.placed_at == datetime(2026, 11, 20, 4, 30, tzinfo=UTC)
    assert report.updated_at == datetime(2026, 11, 20, 4, 30, 1, tzinfo=UTC)
    assert (read.word, read.parent_id, read.is_part) == ("TRIGGER PENDING", None, False)


def test_a_row_without_times_was_updated_now() -> None:
    row = order_row(order_timestamp=None, exchange_timestamp="", exchange_update_timestamp="soon")
    report = entry(row, now=NOW).report
    assert (report.updated_at, report.placed_at) == (NOW, None)


def test_the_reason_of_a_rejection_is_kept_in_the_words_meant_for_people() -> None:
    row = order_row(status="REJECTED", status_message="Insufficient funds.", status_message_raw="RMS:…")
    assert entry(row, now=NOW).report.message == "Insufficient funds."
    assert entry({**row, "status_message": None}, now=NOW).report.message == "RMS:…"


def test_a_variety_nobody_sends_from_here_is_kept_to_cancel_by() -> None:
    read = entry(order_row(variety="auction"), now=NOW)
    assert (read.variety, read.report.variety) == ("auction", Variety.REGULAR)


@pytest.mark.parametrize(
    "changes",
    [
        {"exchange": "BCD"}, {"product": "CO"}, {"order_type": "LIMIT-LIKE"}, {"transaction_type": None},
        {"quantity": None}, {"quantity": 1.5}, {"filled_quantity": "many"}, {"average_price": "NaN"},
        {"order_id": None}, {"order_id": ""}, {"tradingsymbol": None},
    ],
)  # fmt: skip
def test_a_row_that_has_no_form_here_is_unreadable(changes: dict[str, Any]) -> None:
    with pytest.raises(UnreadableRow):
        entry(order_row(**changes), now=NOW)


def test_a_row_with_a_field_missing_is_unreadable() -> None:
    row = order_row()
    del row["product"]
    with pytest.raises(UnreadableRow, match="NSE:INFY None: KeyError"):
        entry(row, now=NOW)


ODD: list[Any] = [
    None, "", 0, -1, 1.5, 1e308, 10**30, "1e999999", "1e-999999", "NaN", True, "abc", "\x00", "\ud800", [], [1], {},
    {"quantity": "x"}, {"iceberg": {"leg": "x"}}, {"iceberg": {"leg": [1]}}, "0001-01-01 00:00:00",
    "9999-12-31 23:59:59",
]  # fmt: skip


@pytest.mark.parametrize("name", order_row())
def test_no_row_of_the_order_book_hides_another_whatever_is_in_it(name: str) -> None:
    for odd in ODD:
        book = Book([{**order_row("1"), name: odd}, order_row("2")], now=NOW)
        assert book.by_id("2") is not None, odd


@pytest.mark.parametrize("name", trade_row("7"))
def test_no_row_of_the_trade_book_hides_another_whatever_is_in_it(name: str) -> None:
    for odd in ODD:
        book = TradeBook([{**trade_row("7"), name: odd}, trade_row("8", "2")], now=NOW)
        assert "2:8" in {trade.trade_id for trade in book.trades}, odd


def test_unreadable_rows_do_not_hide_the_others() -> None:
    read = rows.read_all(
        [order_row("1"), order_row("2", exchange="BCD"), order_row("3")], lambda row: entry(row, now=NOW), "book"
    )
    assert [each.order_id for each in read.rows] == ["1", "3"]
    assert [row["order_id"] for row in read.unreadable] == ["2"]


@pytest.mark.parametrize("answer", [None, {}, "rows", [1], [None]])
def test_what_is_no_list_of_rows_is_no_empty_book(answer: object) -> None:
    with pytest.raises(UnreadableRow):
        rows.read_all(answer, lambda row: entry(row, now=NOW), "book")


@given(number=st.decimals(min_value=0, max_value=10**9, places=4))
def test_a_number_is_the_one_that_was_written(number: Decimal) -> None:
    """Through JSON and back as a float, as kiteconnect hands it out."""
    assert exact(json.loads(json.dumps(float(number)))) == number


@pytest.mark.parametrize("value", [True, None, "x", float("nan"), float("inf"), [], {}])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises((ValueError, TypeError, ArithmeticError)):
        exact(value)


def test_no_price_is_none() -> None:
    assert [positive(value) for value in (None, 0, 0.0, -0.0, 0.05)] == [None, None, None, None, Decimal("0.05")]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-11-20 10:00:00", datetime(2026, 11, 20, 4, 30, tzinfo=UTC)),
        ("10:00:00", datetime(2026, 11, 20, 4, 30, tzinfo=UTC)),
        ("2026-11-20T10:00:00+05:30", datetime(2026, 11, 20, 4, 30, tzinfo=UTC)),
        (datetime(2026, 11, 20, 10), datetime(2026, 11, 20, 4, 30, tzinfo=UTC)),  # noqa: DTZ001 - as Kite means it
        ("", None),
        (None, None),
        ("tomorrow", None),
        ("25:00:00", None),
    ],
)
def test_a_time_is_indian_until_it_says_otherwise(text: object, at: datetime | None) -> None:
    assert time_of(text, now=NOW) == at


def test_a_time_alone_is_of_the_indian_day() -> None:
    """01:00 in India, 19:30 of the day before in UTC."""
    night = datetime(2026, 11, 20, 19, 30, tzinfo=UTC)
    assert time_of("00:59:00", now=night) == datetime(2026, 11, 20, 19, 29, tzinfo=UTC)


@pytest.mark.parametrize(
    ("tag", "tags", "ours"),
    [
        (OURS, [OURS], OURS),
        (None, [OURS], OURS),
        (None, ["autoslice", "autoslice:12", OURS], OURS),
        ("mktp", ["mktp", "mktp:2.00"], None),
        ("swing", ["swing", OURS], OURS),
        ("swing", None, "swing"),
        (None, None, None),
        (None, "no list", None),
    ],
)
def test_the_callers_tag_is_looked_for_in_both_fields(tag: str | None, tags: object, ours: str | None) -> None:
    row = order_row(tag=tag, tags=tags)
    assert caller_tag(row, tags_of(row)) == ours


def test_a_trade_is_told_from_one_with_the_same_number_of_another_order() -> None:
    first, second = rows.trade(trade_row("7", "1"), now=NOW), rows.trade(trade_row("7", "2"), now=NOW)
    assert (first.trade_id, second.trade_id) == ("1:7", "2:7")
    assert (first.price, first.quantity) == (Decimal("1500.05"), 10)
    assert first.traded_at == datetime(2026, 11, 20, 4, 30, 2, tzinfo=UTC)


def test_a_trade_with_nothing_but_a_time_of_day_is_of_today() -> None:
    row = trade_row("7", fill_timestamp=None, exchange_timestamp=None)
    assert rows.trade(row, now=NOW).traded_at == datetime(2026, 11, 20, 4, 30, tzinfo=UTC)


@pytest.mark.parametrize("changes", [{"quantity": 0}, {"average_price": 0}, {"trade_id": None}])
def test_a_trade_of_nothing_is_unreadable(changes: dict[str, Any]) -> None:
    with pytest.raises(UnreadableRow):
        rows.trade({**trade_row("7"), **changes}, now=NOW)


def test_slices_and_legs_are_known_as_parts() -> None:
    part, leg = entry(slice_row("2"), now=NOW), entry(leg_row("3", 1), now=NOW)
    assert (part.sliced, part.parent_id, part.report.whole) == (True, "99", False)
    assert (leg.iceberg is not None, leg.report.whole, leg.report.variety) == (True, False, Variety.ICEBERG)


def test_a_holding_is_what_was_carried_over_night_with_margin_shares() -> None:
    row = {
        "exchange": "NSE", "tradingsymbol": "INFY", "quantity": 3, "opening_quantity": 5, "used_quantity": 2,
        "average_price": 161, "mtf": {"quantity": 7},
    }  # fmt: skip
    report = rows.holding(row)
    assert (report.quantity, report.average_price) == (12, Decimal(161))


@needs_shapes
def test_the_shapes_of_real_books_are_read() -> None:
    def data(name: str) -> Any:
        return json.loads((MOCKS / f"{name}.json").read_text())["data"]

    orders = rows.read_all(data("orders"), lambda row: entry(row, now=NOW), "orders")
    assert (len(orders.rows), orders.unreadable) == (len(data("orders")), ())
    assert [each.report.tag for each in orders.rows if each.report.tag][:2] == ["icebergord", "connect test order1"]
    history = rows.read_all(data("order_info"), lambda row: entry(row, now=NOW), "history")
    assert [each.report.status.is_final for each in history.rows] == [False] * len(data("order_info"))
    trades = rows.read_all(data("trades"), lambda row: rows.trade(row, now=NOW), "trades")
    assert (len(trades.rows), trades.unreadable) == (4, ())
    assert rows.trade(data("order_trades")[0], now=NOW).traded_at == datetime(2021, 5, 31, 10, 30, 36, tzinfo=UTC)
    positions = rows.read_all(data("positions")["net"], rows.position, "positions")
    assert [row["product"] for row in positions.unreadable] == ["CO"]
    assert [each.quantity for each in positions.rows] == [1, 0]
    assert [each.quantity for each in rows.read_all(data("holdings"), rows.holding, "holdings").rows] == [1001, 16]
    margins = rows.margins(data("margins"))
    assert (margins.cash, margins.available) == (Decimal("346093.30"), Decimal("200386.75"))
    assert margins.used == Decimal("145706.55")
    assert entry(json.loads((MOCKS / "postback.json").read_text()), now=NOW).report.status is BookStatus.COMPLETE


def test_margins_of_a_disabled_segment_do_not_count() -> None:
    segment = {"enabled": True, "net": 1.1, "available": {"cash": 3.3}, "utilised": {"debits": 2.2}}
    report = rows.margins({"equity": segment, "commodity": {**segment, "enabled": False}})
    assert (report.cash, report.available, report.used) == (Decimal("3.30"), Decimal("1.10"), Decimal("2.20"))
    with pytest.raises(UnreadableRow):
        rows.margins({"equity": {"enabled": True}})
