"""The script of a storm: everything is in it, and the same seed gives the same."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphapanda.domain.errors import InvalidValueError
from alphapanda.domain.vocabulary import OrderType, Product, Side, Validity, Variety
from alphapanda.kitesim.faults import Fault, Faults
from alphapanda.rehearsal.plan import (
    OPTION,
    Disturb,
    KillWorker,
    Kind,
    LogIn,
    PlannedOrder,
    SessionEnds,
    SquareOff,
    Storm,
    Then,
    TradeByHand,
)
from alphapanda.rehearsal.storm import make_storm, smallest
from alphapanda.rehearsal.tempo import Tempo

TEMPO = Tempo()
SMALLEST = smallest(3, TEMPO)


def _storm(orders: int = 500, kills: int = 3, seed: int = 7) -> Storm:
    return make_storm(orders=orders, kills=kills, seed=seed, tempo=TEMPO)


@given(seed=st.integers(0, 10_000), orders=st.integers(SMALLEST, 300))
@settings(max_examples=30, deadline=None)
def test_every_storm_has_every_fault_and_its_orders_and_kills(seed: int, orders: int) -> None:
    storm = _storm(orders, 3, seed)
    assert storm.faults == frozenset(Fault)
    assert (len(storm.orders), storm.kills) == (orders, 3)
    assert len({order.signal_id for order in storm.orders}) == orders
    kinds = {type(step) for step in storm.steps}
    assert {TradeByHand, SquareOff, KillWorker, SessionEnds, LogIn, Disturb} <= kinds


def test_the_same_seed_gives_the_same_storm_and_another_seed_another() -> None:
    assert _storm(seed=7) == _storm(seed=7)
    assert _storm(seed=7).steps != _storm(seed=8).steps


def test_a_storm_too_small_for_every_fault_is_refused() -> None:
    with pytest.raises(InvalidValueError, match=f"--orders: {SMALLEST} at least"):
        _storm(SMALLEST - 1)


def test_a_large_storm_has_orders_of_every_kind_side_and_validity() -> None:
    orders = _storm().orders
    assert {order.kind for order in orders} == set(Kind)
    assert {order.side for order in orders} == set(Side)
    assert {order.order_type for order in orders} == set(OrderType)
    assert {order.validity for order in orders} == set(Validity)
    assert {order.product for order in orders} == {Product.MIS, Product.CNC, Product.NRML}
    assert {order.variety for order in orders} == {Variety.REGULAR, Variety.ICEBERG}
    assert {order.then for order in orders} == set(Then)
    assert any(order.posts > 1 for order in orders)


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_terms_are_such_that_an_exchange_takes_them(seed: int) -> None:
    for order in _storm(SMALLEST, 3, seed).orders:
        assert (order.price_percent is not None) == order.order_type.has_limit_price
        assert (order.trigger_percent is not None) == order.order_type.has_trigger
        if order.trigger_percent is not None:  # not triggered already when it comes
            assert order.trigger_percent * order.side.sign > 0
            assert order.price_percent is None or order.side.sign * (order.price_percent - order.trigger_percent) > 0
        if order.kind is Kind.ICEBERG:
            assert order.quantity % (order.iceberg_legs or 0) == 0
        if order.kind is Kind.SLICED:
            assert (order.tradingsymbol, order.quantity % 75) == (OPTION, 0)
            assert 1800 < order.quantity <= 18_000
        assert order.then is Then.NOTHING or order.price_percent is not None
        assert abs(order.price_percent or Decimal(0)) <= 5


@given(seed=st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_delivery_is_never_sold_beyond_what_was_bought(seed: int) -> None:
    held: dict[str, int] = {}
    for order in sorted(_storm(200, 3, seed).orders, key=lambda each: each.signal_id):
        if order.product is Product.CNC:
            held[order.tradingsymbol] = held.get(order.tradingsymbol, 0) + order.side.sign * order.quantity
            assert held[order.tradingsymbol] >= 0


def test_the_simulator_takes_every_fault_as_it_is_armed() -> None:
    storm, faults = _storm(), Faults(seed=1)
    armed = [each for order in storm.orders for each in order.faults]
    armed += [step.arming for step in storm.steps if isinstance(step, Disturb)]
    for each in armed:
        faults.arm(each.fault, **each.options)


def test_a_session_that_ended_is_logged_in_to_again_after_some_orders() -> None:
    steps = [step for step in _storm().steps if isinstance(step, SessionEnds | LogIn | PlannedOrder)]
    at = [index for index, step in enumerate(steps) if isinstance(step, SessionEnds)]
    assert len(at) == 2
    for index in at:
        following = [type(step) for step in steps[index + 1 : index + 6]]
        assert following == [PlannedOrder] * 4 + [LogIn]


def test_the_worker_is_killed_while_requests_are_held_on_the_wire() -> None:
    steps = _storm().steps
    for index, step in enumerate(steps):
        if isinstance(step, KillWorker):
            before = [each for each in steps[:index] if isinstance(each, PlannedOrder)][-len(step.on_the_wire) :]
            assert tuple(each.signal_id for each in before) == step.on_the_wire
            assert all([arming.fault for arming in each.faults] == [Fault.TIMEOUT_AFTER] for each in before)


def test_requests_are_held_longer_than_the_desk_waits_and_books_lag_less_than_it_looks() -> None:
    assert TEMPO.hold_s > TEMPO.order_timeout_s
    assert max(TEMPO.lag_s, TEMPO.hidden_s, TEMPO.late_placement_s) < TEMPO.resolve_timeout_s
