"""What no sequence of orders, changes and ticks can break on the paper exchange."""

from contextlib import suppress
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from alphapanda.brokers.paper.margins import is_paid_in_full
from alphapanda.brokers.paper.matching import tick_name
from alphapanda.brokers.paper.records import PaperOrder
from alphapanda.brokers.protocol import BrokerRejected
from tests.unit.brokers.paper_desk import CALL, INFY, Desk

_PRICES = st.integers(95 * 20, 105 * 20).map(lambda ticks: ticks / 20)
_EXACT = _PRICES.map(lambda price: Decimal(str(price)))


@st.composite
def _orders(draw: st.DrawFn) -> dict[str, Any]:
    instrument = draw(st.sampled_from([INFY, CALL]))
    order_type = draw(st.sampled_from(["MARKET", "LIMIT", "SL", "SL-M"]))
    wanted: dict[str, Any] = {
        "exchange": instrument.exchange,
        "tradingsymbol": instrument.tradingsymbol,
        "side": draw(st.sampled_from(["BUY", "SELL"])),
        "quantity": draw(st.integers(1, 20)) * instrument.lot_size,
        "order_type": order_type,
        "product": draw(st.sampled_from(["MIS", "CNC"] if instrument is INFY else ["NRML", "MIS"])),
        "validity": draw(st.sampled_from(["DAY", "IOC"])),
    }
    if order_type in ("SL", "SL-M"):
        wanted["trigger_price"] = draw(_EXACT)
    if order_type == "SL":
        wanted["price"] = wanted["trigger_price"]
    if order_type == "LIMIT":
        wanted["price"] = draw(_EXACT)
    return wanted


_STEPS = st.one_of(
    st.tuples(st.just("place"), _orders()),
    st.tuples(st.just("cancel"), st.integers(0, 30)),
    st.tuples(st.just("modify"), st.tuples(st.integers(0, 30), st.integers(1, 30))),
    st.tuples(st.just("tick"), st.tuples(_PRICES, st.one_of(st.none(), st.integers(0, 200)), st.booleans())),
)


def _play(steps: list[Any]) -> Desk:
    desk = Desk(slippage_bps=Decimal(5), starting_cash=Decimal(500_000), participation=Decimal("0.5"))
    for kind, what in steps:
        with suppress(BrokerRejected):
            if kind == "place":
                desk.place(**what)
            elif kind == "tick":
                price, volume, option = what
                desk.tick(price, volume, instrument=CALL if option else INFY)
            elif desk.orders:
                number = what if kind == "cancel" else what[0]
                order = list(desk.orders.values())[number % len(desk.orders)]
                lot = INFY.lot_size if order.tradingsymbol == "INFY" else CALL.lot_size
                if kind == "cancel":
                    desk.cancel(order)
                else:
                    desk.modify(order, quantity=what[1] * lot)
        _check(desk)
    return desk


def _check(desk: Desk) -> None:
    for order in desk.orders.values():
        _check_order(desk, order)
    charges = sum((trade.charges for trade in desk.trades), Decimal(0))
    realised = sum((position.realised for position in desk.book.positions.values()), Decimal(0))
    paid = Decimal(0)
    for key, position in desk.book.positions.items():
        bought = sum(
            trade.side.sign * trade.quantity
            for trade in desk.trades
            if (trade.exchange, trade.tradingsymbol, trade.product) == key
        )
        assert position.quantity == bought
        assert position.quantity != 0 or (position.cost == 0 and position.margin == 0)
        instrument = desk.instruments[f"{position.exchange}:{position.tradingsymbol}"]
        paid += position.cost if is_paid_in_full(instrument, position.product) else 0
    assert desk.book.account.cash == desk.settings.starting_cash - charges + realised - paid
    resting = [order for order in desk.orders.values() if order.is_resting]
    blocked = sum((order.margin or Decimal(0) for order in resting), Decimal(0))
    blocked += sum((position.margin for position in desk.book.positions.values()), Decimal(0))
    assert desk.book.blocked == blocked
    assert set(desk.book.orders) == {order.broker_order_id for order in resting}


def _check_order(desk: Desk, order: PaperOrder) -> None:
    trades = [trade for trade in desk.trades if trade.broker_order_id == order.broker_order_id]
    assert order.filled_quantity == sum(trade.quantity for trade in trades) <= order.quantity
    assert order.turnover == sum((trade.quantity * trade.price for trade in trades), Decimal(0))
    if order.order_type.has_limit_price and order.price is not None:
        assert all((trade.price - order.price) * order.side.sign <= 0 for trade in trades)


@given(st.lists(_STEPS, max_size=40))
@settings(max_examples=150, deadline=None)
def test_quantities_cash_positions_and_margins_agree_after_every_step(steps: list[Any]) -> None:
    _play(steps)


@given(st.lists(_STEPS, max_size=40))
@settings(max_examples=60, deadline=None)
def test_no_tick_gives_more_than_our_share_of_its_volume(steps: list[Any]) -> None:
    volumes: dict[tuple[str, str], int] = {}
    desk = Desk(participation=Decimal("0.5"))
    for kind, what in steps:
        with suppress(BrokerRejected):
            if kind == "place":
                desk.place(**what)
            elif kind == "tick" and what[1] is not None:
                tick = desk.tick(what[0], what[1], instrument=CALL if what[2] else INFY)
                volumes[tick.instrument, tick_name(tick)] = what[1]
                desk.match([tick])  # a second path that saw the same tick
    for (key, name), volume in volumes.items():
        taken = sum(trade.quantity for trade in desk.trades if trade.key == key and trade.tick == name)
        assert taken <= volume // 2


@given(st.lists(_STEPS, max_size=30))
@settings(max_examples=40, deadline=None)
def test_the_same_steps_make_the_same_book(steps: list[Any]) -> None:
    first, second = _play(steps), _play(steps)
    assert first.orders == second.orders
    assert first.trades == second.trades
    assert first.book.account == second.book.account


@given(st.lists(_STEPS, max_size=30))
@settings(max_examples=40, deadline=None)
def test_ticks_in_one_batch_do_what_they_do_one_by_one_for_orders_that_rest(steps: list[Any]) -> None:
    singly, together = Desk(), Desk()
    for desk in (singly, together):
        desk.quote(100)
        for kind, what in steps:
            if kind == "place" and what["tradingsymbol"] == "INFY":
                with suppress(BrokerRejected):
                    desk.place(**what)
    prices = [(what[0], what[1]) for kind, what in steps if kind == "tick"]
    for price, volume in prices:
        singly.tick(price, volume)
    if prices:
        together.match([together.quote(price, volume) for price, volume in prices])
    assert [(t.quantity, t.price, t.broker_order_id) for t in singly.trades] == [
        (t.quantity, t.price, t.broker_order_id) for t in together.trades
    ]
