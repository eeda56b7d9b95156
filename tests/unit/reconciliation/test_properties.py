"""What holds for any two sets of books, whatever part of them was booked, read or lost."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from alphapanda.domain.execution import BookStatus, TradeReport
from alphapanda.domain.states import OrderState
from alphapanda.domain.vocabulary import Product, Side
from alphapanda.reconciliation.comparing import reconcile
from alphapanda.reconciliation.outcome import Outcome
from alphapanda.reconciliation.views import Account, BookedFill, BrokerView, KnownOrder, LedgerView
from tests.unit.reconciliation.books import (
    LOST,
    NOW,
    booked,
    broker,
    compare,
    holding,
    ledger,
    ours,
    position,
    row,
    tag_of,
    trade,
)

OURS, THEIRS = ("a", "b", "c"), ("x", "y")
PARTS = ("trades", "orders", "positions", "holdings", "margins", "later_trades")

_trade = st.builds(
    lambda order, side, quantity, product: (order, side, quantity, product),
    st.sampled_from(OURS + THEIRS),
    st.sampled_from(Side),
    st.integers(1, 50),
    st.sampled_from([Product.MIS, Product.NRML]),
)


@st.composite
def markets(draw: st.DrawFn) -> list[TradeReport]:
    """A day's trades: each order has one side and one product."""
    terms: dict[str, tuple[Side, Product]] = {}
    made = []
    for n, (order, side, quantity, product) in enumerate(draw(st.lists(_trade, max_size=12))):
        its_side, its_product = terms.setdefault(order, (side, product))
        made.append(trade(f"T{n}", order, side=its_side, product=its_product, quantity=quantity))
    return made


def filled(order: str, trades: Sequence[TradeReport]) -> int:
    return sum(each.quantity for each in trades if each.broker_order_id == f"N-{order}")


def the_broker(trades: Sequence[TradeReport]) -> BrokerView:
    """A broker whose lists agree: every order complete, positions the sum of its trades."""
    rows = [
        row(
            order,
            tag=tag_of(order) if order in OURS else None,
            status=BookStatus.COMPLETE,
            quantity=filled(order, trades),
            filled_quantity=filled(order, trades),
        )
        for order in OURS + THEIRS
        if filled(order, trades)
    ]
    net = ledger(fills=tuple(booked(each) for each in trades)).positions
    return broker(trades=trades, orders=rows, positions=[position(q, account) for account, q in net.items()])


def the_ledger(trades: Sequence[TradeReport], all_trades: Sequence[TradeReport]) -> LedgerView:
    """A ledger that has booked `trades` of a day of `all_trades`."""
    orders = []
    for order in OURS:
        done, total = filled(order, trades), filled(order, all_trades)
        state = OrderState.FILLED if done == total else OrderState.PARTIALLY_FILLED if done else OrderState.OPEN
        if total:
            orders.append(ours(order, quantity=total, filled_quantity=done, state=state))
    fills = tuple(
        booked(each, None if each.broker_order_id[2:] in THEIRS else each.broker_order_id[2:]) for each in trades
    )
    return ledger(*orders, fills=fills)


def repaired(view: LedgerView, outcome: Outcome, told: BrokerView) -> LedgerView:
    """The ledger after the repairs: what was nudged has booked its trades, what was adopted is booked as nobody's."""
    assert isinstance(told.trades, tuple)
    numbers = {nudge.order.broker_order_id for nudge in outcome.nudges}
    adopted = {each.trade_id for adoption in outcome.adoptions for each in adoption.trades}
    known = {fill.trade_id for fill in view.fills}
    new = [
        booked(each, None if each.trade_id in adopted else each.broker_order_id[2:])
        for each in told.trades
        if each.trade_id not in known and (each.trade_id in adopted or each.broker_order_id in numbers)
    ]
    fills: tuple[BookedFill, ...] = (*view.fills, *new)
    return ledger(*(_as_filled(order, fills) for order in view.orders), fills=fills)


def _as_filled(order: KnownOrder, fills: Sequence[BookedFill]) -> KnownOrder:
    done = sum(fill.quantity for fill in fills if fill.order_id == order.order_id)
    return replace(order, filled_quantity=done, state=OrderState.FILLED if done == order.quantity else order.state)


@given(markets(), st.data())
def test_whatever_was_booked_the_repairs_make_the_books_equal_and_a_second_run_changes_nothing(
    trades: list[TradeReport], data: st.DataObject
) -> None:
    known = [each for each in trades if data.draw(st.booleans())]
    told = the_broker(trades)
    view = the_ledger(known, trades)
    outcome = reconcile(view, told)
    assert outcome == reconcile(view, told)
    after = repaired(view, outcome, told)
    again = reconcile(after, told)
    assert (again.findings, again.nudges, again.adoptions) == ((), (), ())
    assert {account: q for account, q in after.positions.items() if q} == {
        account: q for account, q in ledger(fills=tuple(booked(each) for each in trades)).positions.items() if q
    }


@given(markets(), st.data())
def test_only_trades_of_orders_that_are_not_ours_are_adopted_each_once(
    trades: list[TradeReport], data: st.DataObject
) -> None:
    known = [each for each in trades if data.draw(st.booleans())]
    outcome = reconcile(the_ledger(known, trades), the_broker(trades))
    adopted = [each.trade_id for adoption in outcome.adoptions for each in adoption.trades]
    booked_before = {each.trade_id for each in known}
    theirs = {each.trade_id for each in trades if each.broker_order_id[2:] in THEIRS}
    assert sorted(adopted) == sorted(theirs - booked_before)


@given(markets(), st.sets(st.sampled_from(PARTS)), st.data())
def test_a_failed_read_adds_no_finding_and_no_repair(
    trades: list[TradeReport], lost: set[str], data: st.DataObject
) -> None:
    known = [each for each in trades if data.draw(st.booleans())]
    view = replace(
        the_ledger(known, trades),
        positions={Account("NSE", "TCS", "CNC"): data.draw(st.integers(-3, 3)), Account("NSE", "INFY", "MIS"): 7},
    )
    told = replace(the_broker(trades), holdings=(holding(data.draw(st.integers(0, 3)), "TCS"),))
    whole = reconcile(view, told)
    unread: dict[str, Any] = dict.fromkeys(lost, LOST)
    part = reconcile(view, replace(told, **unread))
    assert set(part.adoptions) <= set(whole.adoptions)
    assert {nudge.order.order_id for nudge in part.nudges} <= {nudge.order.order_id for nudge in whole.nudges}
    assert {(each.kind, each.key) for each in part.findings} <= {(each.kind, each.key) for each in whole.findings}
    assert part.judged <= whole.judged


@given(markets(), st.data())
def test_fills_booked_while_the_broker_was_read_are_no_difference(
    trades: list[TradeReport], data: st.DataObject
) -> None:
    """The broker was read when it had some of the trades; the ledger, read later, has them all."""
    early = [each for each in trades if data.draw(st.booleans())]
    late: dict[str, Any] = {"booked_at": NOW + timedelta(seconds=1)}
    view = the_ledger(trades, trades)
    shown = {each.trade_id for each in early}
    view = replace(view, fills=tuple(fill if fill.trade_id in shown else replace(fill, **late) for fill in view.fills))
    told = the_broker(early)
    outcome = compare(view, trades=told.trades, orders=told.orders, positions=told.positions)
    about_orders = {order.order_id for order in view.orders}
    assert outcome.adoptions == ()
    assert all(finding.key in about_orders for finding in outcome.findings)  # a matter of grace: see test_grace.py
