"""The paper exchange's door, its money, its lifetimes and its models."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from alphapanda.brokers.paper import chance
from alphapanda.brokers.paper.exchange import WAITING
from alphapanda.brokers.paper.faults import PaperFault
from alphapanda.brokers.protocol import AmbiguousOutcome, BrokerRejected, BrokerUnavailable, NotAuthenticated
from alphapanda.domain.calendar import Calendar
from alphapanda.domain.execution import BookStatus
from alphapanda.domain.vocabulary import SessionState
from tests.unit.brokers.paper_desk import BANDED, CALL, FUTURE, INDEX, INFY, Desk, request


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"tradingsymbol": "NOSUCH"}, "instrument: NSE:NOSUCH is not known"),
        ({"tradingsymbol": "NIFTY 50"}, "is an index"),
        ({"product": "NRML"}, "product: NRML is not traded on NSE"),
        ({"exchange": "NFO", "tradingsymbol": FUTURE.tradingsymbol, "product": "CNC"}, "product: CNC is not traded"),
        ({"exchange": "NFO", "tradingsymbol": FUTURE.tradingsymbol, "product": "NRML"}, "lot size 65"),
        ({"order_type": "LIMIT", "price": "100.02"}, "price: 100.02 is not a multiple of the tick size"),
        ({"order_type": "SL-M", "trigger_price": "100.02"}, "trigger_price: 100.02 is not a multiple"),
        ({"order_type": "LIMIT", "price": "79.95"}, "outside the price band 80.00 to 120.00"),
        ({"order_type": "LIMIT", "price": "106", "tradingsymbol": "BANDED"}, "outside the price band 95 to 105"),
        ({"variety": "amo"}, "variety: the paper exchange keeps no after-market orders"),
        ({"order_type": "SL-M", "trigger_price": "99"}, "buy orders should be higher than the last traded price"),
        ({"order_type": "SL-M", "trigger_price": "100"}, "buy orders should be higher than the last traded price"),
        ({"order_type": "SL", "trigger_price": "99", "price": "101"}, "buy orders should be higher"),
        ({"order_type": "SL-M", "trigger_price": "101", "side": "SELL"}, "sell orders should be lower than the last"),
        ({"order_type": "SL", "trigger_price": "100", "price": "99", "side": "SELL"}, "sell orders should be lower"),
        ({"side": "SELL", "product": "CNC"}, "insufficient holdings"),
        ({"quantity": 1_000_000, "product": "CNC"}, "insufficient funds"),
    ],
)
def test_the_door_refuses_what_breaks_a_rule_and_names_it(changes: dict[str, Any], says: str) -> None:
    desk = Desk()
    for instrument in (INFY, BANDED, FUTURE, INDEX):
        desk.quote(100, instrument=instrument)
    with pytest.raises(BrokerRejected, match=says):
        desk.place(**changes)
    assert not desk.orders
    assert desk.book.account.cash == desk.settings.starting_cash


def test_an_expired_contract_is_refused() -> None:
    desk = Desk()
    desk.now = datetime(2026, 11, 27, 5, tzinfo=UTC)
    with pytest.raises(BrokerRejected, match="expired on 2026-11-26"):
        desk.place(exchange="NFO", tradingsymbol=FUTURE.tradingsymbol, product="NRML", quantity=65)


def test_a_closed_market_is_refused_and_an_open_one_ends_day_orders_at_its_close() -> None:
    desk = Desk(calendar=Calendar.packaged())
    desk.quote(100)
    order = desk.place(order_type="LIMIT", price="99")
    assert order.expires_at == datetime(2026, 11, 19, 9, 45, tzinfo=UTC)  # 15:15 for stocks with derivatives
    desk.now = order.expires_at
    with pytest.raises(BrokerRejected, match="closed"):
        desk.place()


def test_a_date_beyond_the_calendar_is_refused() -> None:
    desk = Desk(calendar=Calendar.packaged())
    desk.now = datetime(2031, 1, 2, 5, tzinfo=UTC)
    with pytest.raises(BrokerRejected, match="hours are not known"):
        desk.place()


def test_a_day_order_expires_at_the_close_and_fills_no_more() -> None:
    desk = Desk(calendar=Calendar.packaged())
    desk.quote(100)
    order = desk.place(order_type="LIMIT", price="99")
    desk.now = order.expires_at - timedelta(seconds=1)
    desk.tick(98)
    assert desk.current(order).status is BookStatus.OPEN  # the tick arrived as the day ended
    desk.expire()
    assert desk.current(order).status is BookStatus.EXPIRED
    assert desk.book.blocked == 0


def test_without_a_calendar_a_day_ends_at_indian_midnight() -> None:
    desk = Desk()
    desk.quote(100)
    assert desk.place(order_type="LIMIT", price="99").expires_at == datetime(2026, 11, 19, 18, 30, tzinfo=UTC)


def test_a_ttl_order_expires_after_its_minutes() -> None:
    desk = Desk()
    desk.quote(100)
    order = desk.place(order_type="LIMIT", price="99", validity="TTL", validity_minutes=5)
    desk.now = order.placed_at + timedelta(minutes=5) - timedelta(microseconds=1)
    desk.expire()
    assert desk.current(order).status is BookStatus.OPEN
    desk.now += timedelta(microseconds=1)
    desk.expire()
    assert desk.current(order).status is BookStatus.EXPIRED


@pytest.mark.parametrize("known", [True, False], ids=["stale quote", "unknown quote"])
def test_a_market_order_waits_for_a_fresh_quote(known: bool) -> None:
    desk = Desk()
    if known:
        desk.quote(100)
        desk.now += timedelta(seconds=60)
    order = desk.place()
    assert (order.status, order.message) == (BookStatus.OPEN, WAITING)
    desk.tick(105)
    filled = desk.current(order)
    assert (filled.status, filled.message, desk.trades[0].price) == (BookStatus.COMPLETE, "", Decimal(105))


def test_an_ioc_order_without_a_fresh_quote_is_cancelled() -> None:
    order = Desk().place(validity="IOC")
    assert (order.status, order.message) == (BookStatus.CANCELLED, f"IOC: {WAITING}")


def test_a_resting_order_does_not_fill_on_an_old_tick() -> None:
    desk = Desk()
    desk.quote(100)
    order = desk.place(order_type="LIMIT", price="99")
    late = desk.quote(98)
    desk.now += timedelta(seconds=16)
    desk.match([late])
    assert desk.current(order).status is BookStatus.OPEN


def test_an_unpriced_market_order_that_turns_out_too_dear_is_rejected() -> None:
    desk = Desk(starting_cash=Decimal(1000))
    order = desk.place(quantity=1000)
    desk.tick(100)
    rejected = desk.current(order)
    assert rejected.status is BookStatus.REJECTED
    assert "insufficient funds" in rejected.message
    assert desk.book.account.cash == 1000


def test_delivery_costs_the_whole_value_and_intraday_a_fifth() -> None:
    desk = Desk(starting_cash=Decimal(10_000))
    desk.quote(100)
    with pytest.raises(BrokerRejected, match="insufficient funds"):
        desk.place(product="CNC", quantity=100)
    assert desk.place(product="MIS", quantity=400).status is BookStatus.COMPLETE
    assert desk.book.blocked == 8000


def test_resting_orders_block_their_margin_until_they_end() -> None:
    desk = Desk(starting_cash=Decimal(10_000))
    desk.quote(100)
    first = desk.place(order_type="LIMIT", price="90", product="CNC", quantity=100)
    assert Decimal(9000) < desk.book.blocked < Decimal(9020)  # the value and its charges
    with pytest.raises(BrokerRejected, match="insufficient funds"):
        desk.place(order_type="LIMIT", price="90", product="CNC", quantity=100)
    desk.cancel(first)
    assert desk.book.blocked == 0
    assert desk.place(order_type="LIMIT", price="90", product="CNC", quantity=100).status is BookStatus.OPEN


def test_an_order_that_reduces_a_position_needs_no_margin() -> None:
    desk = Desk(starting_cash=Decimal(2100))
    desk.quote(100)
    desk.place(quantity=100)
    exit_order = desk.place(side="SELL", quantity=100, order_type="LIMIT", price="110")
    assert exit_order.margin == 0
    with pytest.raises(BrokerRejected, match="insufficient funds"):  # the exit is promised already: this one opens
        desk.place(side="SELL", quantity=100, order_type="LIMIT", price="110")


def test_a_short_option_blocks_a_fifth_of_its_strike_and_a_bought_one_costs_its_premium() -> None:
    desk = Desk()
    desk.quote(200, instrument=CALL)
    option = {"exchange": "NFO", "tradingsymbol": CALL.tradingsymbol, "product": "NRML", "quantity": 65}
    desk.place(side="SELL", **option)
    assert desk.book.blocked == 65 * 26000 / Decimal(5)
    desk.place(side="BUY", quantity=130, **{k: v for k, v in option.items() if k != "quantity"})
    assert desk.book.blocked == 0
    charges = sum(trade.charges for trade in desk.trades)
    assert desk.book.account.cash == desk.settings.starting_cash - 65 * 200 - charges


def test_cash_pays_exactly_the_charges_of_the_tables() -> None:
    desk = Desk()
    desk.quote(1500)
    desk.place(quantity=100)
    # 150,000 intraday buy: brokerage 20, exchange 4.61, SEBI 0.15, GST 4.46, stamp 4.50
    assert desk.trades[0].charges == Decimal("33.72")
    assert desk.book.account.cash == desk.settings.starting_cash - Decimal("33.72")


def test_a_partial_fill_pays_brokerage_once() -> None:
    slices, whole = Desk(), Desk()
    slices.quote(1500, volume=30)
    slices.place(quantity=100)
    slices.tick(1500, volume=30)
    slices.tick(1500)
    whole.quote(1500)
    whole.place(quantity=100)
    assert len(slices.trades) == 3
    assert sum(trade.charges for trade in slices.trades) == whole.trades[0].charges


def test_a_modified_limit_that_now_crosses_fills_at_once() -> None:
    desk = Desk()
    desk.quote(100)
    order = desk.place(order_type="LIMIT", price="95")
    assert desk.modify(order, price=Decimal("101")).status is BookStatus.COMPLETE
    assert desk.trades[0].price == 100


def test_an_iceberg_is_worked_as_one_order() -> None:
    desk = Desk()
    desk.quote(100)
    order = desk.place(variety="iceberg", iceberg_legs=5, quantity=10)
    assert (order.status, order.filled_quantity, len(desk.trades)) == (BookStatus.COMPLETE, 10, 1)


def test_a_stop_is_not_moved_to_the_wrong_side_of_the_market_until_it_has_triggered() -> None:
    desk = Desk()
    desk.quote(100, volume=1)
    order = desk.place(order_type="SL", trigger_price="105", price="106")
    with pytest.raises(BrokerRejected, match="buy orders should be higher than the last traded price"):
        desk.modify(order, trigger_price=Decimal("99"))
    desk.tick(110)
    triggered = desk.current(order)
    assert triggered.status is BookStatus.OPEN
    assert desk.modify(triggered, price=Decimal("107")).status is BookStatus.OPEN


def test_a_modification_changes_type_quantity_and_validity() -> None:
    desk = Desk()
    desk.quote(100, volume=0)
    order = desk.place(order_type="SL", trigger_price="105", price="106", quantity=10)
    changed = desk.modify(order, order_type="LIMIT", price=Decimal("98"), quantity=20)
    assert (changed.status, changed.quantity, changed.trigger_price) == (BookStatus.OPEN, 20, None)
    assert desk.modify(changed, validity="IOC").status is BookStatus.CANCELLED


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"quantity": 4}, "4 are filled already"),
        ({"price": Decimal("99.99")}, "multiple of the tick size"),
        ({"price": Decimal("50")}, "price band"),
        ({"trigger_price": Decimal("99")}, "trigger_price: not allowed"),
        ({"order_type": "SL-M"}, "trigger_price: required"),
        ({"validity": "TTL"}, "cannot be modified to TTL"),
        ({"quantity": 5_000_000}, "insufficient funds"),
    ],
)
def test_an_impossible_modification_changes_nothing(change: dict[str, Any], says: str) -> None:
    desk = Desk()
    desk.quote(100, volume=4)
    order = desk.place(order_type="LIMIT", price="100", quantity=10)
    with pytest.raises(BrokerRejected, match=says):
        desk.modify(order, **change)
    assert desk.current(order) == order


def test_an_ended_order_can_be_neither_cancelled_nor_modified() -> None:
    desk = Desk()
    desk.quote(100)
    order = desk.place()
    with pytest.raises(BrokerRejected, match="does not rest"):
        desk.cancel(order)
    with pytest.raises(BrokerRejected, match="does not rest"):
        desk.modify(order, quantity=20)


def test_the_same_tag_twice_makes_two_orders_as_at_a_real_broker() -> None:
    desk = Desk()
    desk.quote(100)
    first, second = desk.send(request("SAME")), desk.send(request("SAME"))
    assert first.order is not None
    assert second.order is not None
    assert first.order.broker_order_id < second.order.broker_order_id
    assert desk.position() == 20


def test_ids_are_digits_sortable_and_unique_across_orders_and_trades() -> None:
    desk = Desk()
    desk.quote(100)
    for _ in range(20):
        desk.place()
    ids = [number for trade in desk.trades for number in (trade.broker_order_id, trade.trade_id)]
    assert ids == sorted(set(ids))
    assert all(number.isdigit() and 15 <= len(number) <= 19 for number in ids)


def test_an_expired_session_refuses_every_order_call() -> None:
    desk = Desk()
    desk.quote(100)
    order = desk.place(order_type="LIMIT", price="99")
    desk.book.account.session = SessionState.EXPIRED
    calls: list[Callable[[], object]] = [
        desk.place, lambda: desk.cancel(order), lambda: desk.modify(order, quantity=20)
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(NotAuthenticated):
            call()
    desk.tick(98)
    assert desk.current(order).status is BookStatus.COMPLETE  # the exchange goes on without us


@pytest.mark.parametrize(
    ("fault", "error", "placed"),
    [
        (PaperFault.UNAVAILABLE, BrokerUnavailable, False),
        (PaperFault.LOSE_REQUEST, AmbiguousOutcome, False),
        (PaperFault.LOSE_REPLY, AmbiguousOutcome, True),
        (PaperFault.HIDE_FROM_BOOK, AmbiguousOutcome, True),
    ],
)
def test_an_armed_fault_befalls_as_many_calls_as_it_was_armed_for(
    fault: PaperFault, error: type[Exception], placed: bool
) -> None:
    desk = Desk()
    desk.quote(100)
    desk.book.account.armed_faults = {fault: 2}
    for _ in range(2):
        with pytest.raises(error):
            desk.place()
    assert len(desk.trades) == (2 if placed else 0)
    assert desk.place().status is BookStatus.COMPLETE


def test_an_exchanges_rejection_is_an_order_in_the_book() -> None:
    desk = Desk()
    desk.quote(100)
    desk.book.account.armed_faults = {PaperFault.REJECT_NEXT: 1}
    order = desk.place()
    assert (order.status, order.filled_quantity, desk.book.blocked) == (BookStatus.REJECTED, 0, Decimal(0))


def test_chance_depends_on_the_seed_and_the_order_alone() -> None:
    outcomes = []
    for _ in range(2):
        desk = Desk(reject_rate=Decimal("0.3"), lose_reply_rate=Decimal("0.2"), seed=11)
        desk.quote(100)
        outcomes.append([(answer.order and answer.order.status, answer.error is None) for answer in
                         (desk.send(request(f"TAG{number}")) for number in range(200))])  # fmt: skip
    assert outcomes[0] == outcomes[1]
    assert 30 < sum(status is BookStatus.REJECTED for status, _ in outcomes[0]) < 90
    assert 20 < sum(not replied for _, replied in outcomes[0]) < 70
    other = [chance.happens(Decimal("0.3"), 12, "reject", f"TAG{number}") for number in range(200)]
    assert other != [status is BookStatus.REJECTED for status, _ in outcomes[0]]


def test_latency_varies_around_its_setting_and_repeats_for_an_order() -> None:
    drawn = [chance.latency_s(100, 7, f"TAG{number}") for number in range(100)]
    assert drawn == [chance.latency_s(100, 7, f"TAG{number}") for number in range(100)]
    assert 0.05 <= min(drawn) < 0.06
    assert 0.14 < max(drawn) <= 0.15
    assert chance.latency_s(0, 7, "TAG") == 0
