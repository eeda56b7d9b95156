"""Every order type against every way the market can move: what fills, when, and at what price."""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest

from alphapanda.brokers.paper.matching import Gate, conflate, on_grid, room
from alphapanda.domain.execution import BookStatus
from alphapanda.domain.vocabulary import Side
from alphapanda.live.quotes import Tick
from tests.unit.brokers.paper_desk import BANDED, INFY, Desk

BUY = {"side": "BUY"}
SELL = {"side": "SELL"}


@dataclass(frozen=True)
class Case:
    name: str
    terms: dict[str, Any]
    path: tuple[float, ...]
    fills: tuple[str | None, ...]
    """The price of the fill at the quote the order arrives on, then at each later tick; None where there is none."""

    status: str = field(default="COMPLETE")


def _limit(price: str) -> dict[str, Any]:
    return {"order_type": "LIMIT", "price": price}


def _stop(trigger: str) -> dict[str, Any]:
    return {"order_type": "SL-M", "trigger_price": trigger}


def _stop_limit(trigger: str, price: str) -> dict[str, Any]:
    return {"order_type": "SL", "trigger_price": trigger, "price": price}


CASES = [
    Case("a market buy fills at once", BUY, (100,), ("100",)),
    Case("a market sell fills at once", SELL, (100,), ("100",)),
    Case("a buy limit above the market fills at the better price", BUY | _limit("101"), (100,), ("100",)),
    Case("a sell limit below the market fills at the better price", SELL | _limit("99"), (100,), ("100",)),
    Case("a buy limit at the market fills", BUY | _limit("100"), (100,), ("100",)),
    Case("a buy limit below the market rests", BUY | _limit("99"), (100, 99.05), (None, None), "OPEN"),
    Case("a sell limit above the market rests", SELL | _limit("101"), (100, 100.95), (None, None), "OPEN"),
    Case("a resting buy limit fills when touched", BUY | _limit("99"), (100, 99.5, 99), (None, None, "99")),
    Case("a resting sell limit fills when touched", SELL | _limit("101"), (100, 101), (None, "101")),
    Case("a resting buy limit keeps its price when run through", BUY | _limit("99"), (100, 95), (None, "99")),
    Case("a resting sell limit keeps its price when run through", SELL | _limit("101"), (100, 105), (None, "101")),
    Case("a buy stop waits below its trigger", BUY | _stop("102"), (100, 101.95, 90), (None,) * 3, "TRIGGER_PENDING"),
    Case("a sell stop waits above its trigger", SELL | _stop("98"), (100, 98.05, 110), (None,) * 3, "TRIGGER_PENDING"),
    Case("a buy stop fills at the market when touched", BUY | _stop("102"), (100, 102), (None, "102")),
    Case("a buy stop fills at the market beyond its trigger", BUY | _stop("102"), (100, 104), (None, "104")),
    Case("a sell stop fills at the market beyond its trigger", SELL | _stop("98"), (100, 96), (None, "96")),
    Case("a stop limit fills within its limit", BUY | _stop_limit("102", "103"), (100, 102.5), (None, "102.5")),
    Case("a stop limit jumped over rests", BUY | _stop_limit("102", "103"), (100, 104), (None, None), "OPEN"),
    Case(
        "a stop limit jumped over fills at its limit on the way back",
        BUY | _stop_limit("102", "103"), (100, 104, 103.05, 103), (None, None, None, "103"),
    ),
    Case(
        "a sell stop limit jumped over fills at its limit on the way back",
        SELL | _stop_limit("98", "97"), (100, 96, 97.5), (None, None, "97"),
    ),
]  # fmt: skip


@pytest.mark.parametrize("validity", ["DAY", "TTL"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_order_fills_when_and_where_the_market_says(case: Case, validity: str) -> None:
    desk = Desk()
    desk.quote(case.path[0])
    minutes = {"validity_minutes": 60} if validity == "TTL" else {}
    order = desk.place(validity=validity, **case.terms, **minutes)
    for price, expected in zip((None, *case.path[1:]), case.fills, strict=True):
        seen = len(desk.trades)
        if price is not None:
            desk.tick(price)
        made = [trade.price for trade in (desk.trades if price is None else desk.trades[seen:])]
        assert made == ([] if expected is None else [Decimal(expected)])
    assert desk.current(order).status == BookStatus(case.status)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_an_ioc_order_fills_on_arrival_or_never(case: Case) -> None:
    desk = Desk()
    desk.quote(case.path[0])
    order = desk.place(validity="IOC", **case.terms)
    for price in case.path[1:]:
        desk.tick(price)
    filled = case.fills[0] is not None
    assert desk.current(order).status is (BookStatus.COMPLETE if filled else BookStatus.CANCELLED)
    assert len(desk.trades) == int(filled)


def test_a_taker_meets_the_other_sides_quote_where_there_is_depth() -> None:
    desk = Desk()
    desk.quote(100, bid=99.9, ask=100.1)
    desk.place(side="BUY")
    desk.place(side="SELL")
    assert [trade.price for trade in desk.trades] == [Decimal("100.1"), Decimal("99.9")]


def test_an_arriving_limit_does_not_fill_on_an_old_trade_when_the_ask_is_beyond_it() -> None:
    desk = Desk()
    desk.quote(100, ask=101)
    assert desk.place(order_type="LIMIT", price="100.5").status is BookStatus.OPEN


def test_slippage_is_against_the_taker_and_lands_on_the_tick_grid() -> None:
    desk = Desk(slippage_bps=Decimal(3))
    desk.quote(100)
    desk.place(side="BUY")
    desk.place(side="SELL")
    assert [trade.price for trade in desk.trades] == [Decimal("100.05"), Decimal("99.95")]


def test_slippage_spares_limit_orders() -> None:
    desk = Desk(slippage_bps=Decimal(50))
    desk.quote(100)
    desk.place(order_type="LIMIT", price="101")
    assert desk.trades[0].price == 100


def test_slippage_hits_a_triggered_stop() -> None:
    desk = Desk(slippage_bps=Decimal(100))
    desk.quote(100)
    desk.place(order_type="SL-M", trigger_price="102")
    desk.tick(102)
    assert desk.trades[0].price == Decimal("103.05")


def test_a_fill_never_leaves_the_price_band() -> None:
    desk = Desk(slippage_bps=Decimal(100))
    desk.quote(104.9, instrument=BANDED)
    desk.place(tradingsymbol="BANDED")
    assert desk.trades[0].price == 105


@pytest.mark.parametrize(
    ("price", "side", "expected"),
    [("100.01", Side.BUY, "100.05"), ("100.04", Side.SELL, "100.00"), ("0.01", Side.SELL, "0.05")],
)
def test_prices_round_to_the_grid_against_the_taker(price: str, side: Side, expected: str) -> None:
    assert on_grid(Decimal(price), side, INFY) == Decimal(expected)


def test_a_partial_fill_takes_the_volume_there_is_and_the_rest_waits_for_the_next_tick() -> None:
    desk = Desk()
    desk.quote(100, volume=4)
    order = desk.place(quantity=10)
    assert (order.status, order.filled_quantity) == (BookStatus.OPEN, 4)
    desk.tick(101, volume=5)
    desk.tick(102, volume=50)
    assert [(trade.quantity, int(trade.price)) for trade in desk.trades] == [(4, 100), (5, 101), (1, 102)]
    assert desk.current(order).status is BookStatus.COMPLETE


def test_all_orders_on_a_tick_share_its_volume() -> None:
    desk = Desk()
    desk.quote(100, volume=15)
    assert [desk.place(quantity=10).filled_quantity for _ in range(3)] == [10, 5, 0]
    desk.tick(100, volume=8)
    assert [order.filled_quantity for order in desk.orders.values()] == [10, 10, 3]


def test_an_order_that_was_filled_on_a_tick_does_not_take_its_volume_again() -> None:
    desk = Desk()
    tick = desk.quote(100, volume=4)
    order = desk.place(quantity=10)
    desk.match([tick])
    assert desk.current(order).filled_quantity == 4


def test_participation_limits_our_share_of_the_volume() -> None:
    desk = Desk(participation=Decimal("0.25"))
    desk.quote(100, volume=20)
    assert desk.place(quantity=10).filled_quantity == 5


def test_an_unknown_volume_is_enough() -> None:
    assert room(None, Decimal(1), 1000, 1) is None


def test_volume_is_taken_in_whole_lots() -> None:
    assert room(200, Decimal(1), 0, 65) == 195
    assert room(200, Decimal(1), 195, 65) == 0


def test_an_ioc_order_keeps_its_part_and_cancels_the_rest() -> None:
    desk = Desk()
    desk.quote(100, volume=4)
    order = desk.place(quantity=10, validity="IOC")
    assert (order.status, order.filled_quantity) == (BookStatus.CANCELLED, 4)
    desk.tick(100, volume=50)
    assert desk.current(order).filled_quantity == 4


def test_on_one_tick_market_orders_come_first_then_the_better_price_then_the_earlier_order() -> None:
    desk = Desk()
    desk.quote(100, volume=0)
    late_but_better = []
    for price in ("98", "99", "99"):
        late_but_better.append(desk.place(order_type="LIMIT", price=price, quantity=10))
    market = desk.place(quantity=10)
    desk.tick(97, volume=25)
    filled = [desk.current(order).filled_quantity for order in (market, *late_but_better)]
    assert filled == [10, 0, 10, 5]


def test_a_tick_older_than_the_order_does_not_match_it() -> None:
    desk = Desk()
    old = desk.quote(90)
    desk.quote(100)
    order = desk.place(order_type="LIMIT", price="95")
    desk.match([old])
    assert desk.current(order).status is BookStatus.OPEN


def test_a_touch_inside_a_batch_is_not_lost() -> None:
    desk = Desk()
    desk.quote(100)
    order = desk.place(order_type="LIMIT", price="95")
    desk.match([desk.quote(price) for price in (99, 94, 100)])
    assert desk.current(order).status is BookStatus.COMPLETE


@pytest.mark.parametrize(
    ("prices", "kept"),
    [
        ((5, 5, 5), [5, 5]),
        ((5, 6, 5.5, 7, 5.2), [5, 6, 7, 5.2]),
        ((5, 4, 4.5, 3, 6, 5), [5, 4, 3, 6, 5]),
    ],
)
def test_conflation_keeps_new_highs_new_lows_and_the_last(prices: tuple[float, ...], kept: list[float]) -> None:
    ticks = [Tick("NSE:INFY", price, 1.0, 1.0) for price in prices]
    assert [tick.last_price for tick in conflate(ticks)] == kept


def test_the_gate_holds_back_only_ticks_that_reach_no_order() -> None:
    desk = Desk()
    desk.quote(100)
    desk.place(order_type="LIMIT", price="95")
    desk.place(order_type="SL-M", side="SELL", trigger_price="96")
    desk.place(order_type="SL-M", trigger_price="104")
    gate = Gate.of(desk.book.orders.values())
    passed = [price for price in (94.0, 95.0, 96.0, 96.05, 100.0, 103.95, 104.0) if gate.lets_through(_tick(price))]
    assert passed == [94.0, 95.0, 96.0, 104.0]


def _tick(price: float) -> Tick:
    return Tick("NSE:INFY", price, 1.0, 1.0)
