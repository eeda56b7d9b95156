"""Whatever is done to the simulated exchange, its book adds up."""

from collections import defaultdict
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from alphapanda.kitesim.errors import KiteError
from alphapanda.kitesim.orders import Fate
from tests.unit.kitesim.simulated import Simulated

_prices = st.integers(14_200, 14_800).map(lambda steps: str(Decimal(steps) / 10))
_fates = st.builds(
    Fate,
    stuck=st.booleans(),
    hidden=st.booleans(),
    reject_after_s=st.sampled_from([None, None, None, 0.0, 5.0]),
    fill_ratio=st.sampled_from([None, None, 0.0, 0.4]),
    late_fill_s=st.sampled_from([None, 3.0]),
)
_orders = st.fixed_dictionaries(
    {
        "transaction_type": st.sampled_from(["BUY", "SELL"]),
        "quantity": st.integers(1, 40).map(str),
        "product": st.sampled_from(["MIS", "NRML", "CNC"]),
        "order_type": st.sampled_from(["LIMIT", "MARKET", "SL", "SL-M"]),
        "price": _prices,
        "trigger_price": _prices,
        "validity": st.sampled_from(["DAY", "IOC"]),
        "market_protection": st.sampled_from(["-1", "1"]),
        "iceberg_legs": st.just("4"),
        "iceberg_quantity": st.just("10"),
    }
)
_steps = st.one_of(
    st.tuples(st.just("place"), st.sampled_from(["regular", "regular", "iceberg", "amo"]), _orders, _fates),
    st.tuples(st.just("tick"), _prices, st.sampled_from([None, 1, 7, 30])),
    st.tuples(st.just("cancel"), st.integers(0, 10)),
    st.tuples(st.just("modify"), st.integers(0, 10), _prices, st.integers(1, 40)),
    st.tuples(st.just("release")),
    st.tuples(st.just("later"), st.integers(1, 10)),
    st.tuples(st.just("market"), st.booleans()),
)


def _do(sim: Simulated, step: tuple[object, ...]) -> None:
    ids = list(sim.book.orders)
    match step:
        case ("place", str(variety), dict(params), Fate() as fate):
            sim.place(variety, fate, **params)
        case ("tick", str(price), volume):
            assert volume is None or isinstance(volume, int)
            sim.tick(price, volume=volume)
        case ("cancel", int(index)) if ids:
            order = sim.order(ids[index % len(ids)])
            sim.exchange.cancel(order.variety, order.order_id, sim.now)
        case ("modify", int(index), str(price), int(quantity)) if ids:
            order = sim.order(ids[index % len(ids)])
            params = {"price": price, "quantity": str(quantity)}
            sim.exchange.modify(order.variety, order.order_id, params, sim.now)
        case ("release",):
            sim.exchange.release(None, sim.now)
        case ("later", int(seconds)):
            sim.later(seconds)
        case ("market", True):
            sim.exchange.open_market(sim.now)
        case ("market", False):
            sim.exchange.close_market(sim.now)


def _check(sim: Simulated) -> None:
    traded: dict[str, int] = defaultdict(int)
    value: dict[str, Decimal] = defaultdict(Decimal)
    net: dict[tuple[str, str, str], int] = defaultdict(int)
    flow = Decimal(0)
    for trade in sim.book.trades:
        sign = 1 if trade.is_buy else -1
        traded[trade.order_id] += trade.quantity
        value[trade.order_id] += trade.price * trade.quantity
        net[trade.exchange, trade.tradingsymbol, trade.product] += sign * trade.quantity
        flow -= sign * trade.price * trade.quantity
    for order in sim.book.orders.values():
        assert order.filled_quantity == traded[order.order_id] <= order.quantity
        assert order.filled_value == value[order.order_id]
        assert 0 <= order.cancelled_quantity <= order.quantity - order.filled_quantity
        assert (order.status == "COMPLETE") == (order.filled_quantity == order.quantity)
        filled = [row.filled_quantity for row in sim.book.histories[order.order_id]]
        assert filled == sorted(filled)
    assert {key: sums.net for key, sums in sim.book.portfolio.positions.items()} == dict(net)
    assert sim.book.portfolio.flow == flow
    for sums in sim.book.portfolio.positions.values():
        assert sums.bought >= 0
        assert sums.sold >= 0


@given(st.lists(_steps, max_size=40))
@settings(max_examples=150, deadline=None)
def test_fills_never_shrink_and_positions_and_cash_equal_the_trades(steps: list[tuple[object, ...]]) -> None:
    sim = Simulated(holdings=[{"tradingsymbol": "INFY", "quantity": 50, "average_price": "1000"}])
    for step in steps:
        before = (sim.book.portfolio.flow, len(sim.book.trades))
        try:
            _do(sim, step)
        except KiteError:
            assert (sim.book.portfolio.flow, len(sim.book.trades)) == before
        _check(sim)


@given(st.lists(_steps, max_size=30))
@settings(max_examples=50, deadline=None)
def test_without_positions_all_the_cash_is_back(steps: list[tuple[object, ...]]) -> None:
    sim = Simulated()
    for step in steps:
        try:
            _do(sim, step)
        except KiteError:
            continue
    sim.exchange.close_market(sim.now)
    if any(not order.status.is_terminal for order in sim.book.open_orders()):
        return  # stuck orders still block funds
    if any(sums.net for sums in sim.book.portfolio.positions.values()):
        return
    assert sim.exchange.intake.available() == sim.settings.starting_cash + sim.book.portfolio.flow
