"""Conformance: orders placed and filled, and what the other books say of them."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from alphapanda.brokers.protocol import BrokerRejected
from alphapanda.domain.execution import BookStatus, OrderReport, TradeReport
from alphapanda.domain.ids import Broker
from alphapanda.domain.vocabulary import OrderType, SessionState
from tests.integration.brokers.conformance_desk import ConformanceDesk
from tests.integration.brokers.conftest import until

STOP: dict[str, Any] = {"order_type": "SL", "side": "SELL", "trigger_price": "1490", "price": "1480"}
STOP_M: dict[str, Any] = {"order_type": "SL-M", "side": "SELL", "trigger_price": "1490"}

KINDS: list[tuple[dict[str, Any], BookStatus]] = [
    ({}, BookStatus.COMPLETE),
    ({"side": "SELL"}, BookStatus.COMPLETE),
    ({"validity": "IOC"}, BookStatus.COMPLETE),
    ({"order_type": "LIMIT", "price": "1600"}, BookStatus.COMPLETE),
    ({"order_type": "LIMIT", "price": "1600", "validity": "IOC"}, BookStatus.COMPLETE),
    ({"order_type": "LIMIT", "price": "1400"}, BookStatus.OPEN),
    ({"order_type": "LIMIT", "price": "1600", "side": "SELL"}, BookStatus.OPEN),
    ({"order_type": "LIMIT", "price": "1400", "validity": "IOC"}, BookStatus.CANCELLED),
    ({"order_type": "LIMIT", "price": "1400", "validity": "TTL", "validity_minutes": 5}, BookStatus.OPEN),
    (STOP, BookStatus.TRIGGER_PENDING),
    (STOP_M, BookStatus.TRIGGER_PENDING),
    ({"order_type": "SL", "trigger_price": "1510", "price": "1520"}, BookStatus.TRIGGER_PENDING),
    ({"order_type": "SL-M", "trigger_price": "1510"}, BookStatus.TRIGGER_PENDING),
]


def check(report: OrderReport) -> None:
    """What holds of every report of an order with its trades: totals are the sums, prices exact, times aware UTC."""
    assert report.trades is not None
    assert sum(trade.quantity for trade in report.trades) == report.filled_quantity <= report.quantity
    assert (report.average_price is None) is (not report.filled_quantity)
    if report.average_price is not None:
        value = sum((trade.quantity * trade.price for trade in report.trades), Decimal(0))
        assert abs(report.average_price - value / report.filled_quantity) < Decimal("0.0001")
    assert (report.status is BookStatus.COMPLETE) is (report.filled_quantity == report.quantity)
    assert report.placed_at is not None
    moments = [report.placed_at, report.updated_at, *(trade.traded_at for trade in report.trades)]
    assert all(moment.utcoffset() == timedelta(0) for moment in moments)
    for trade in report.trades:
        assert trade.broker_order_id == report.broker_order_id
        for field in ("exchange", "tradingsymbol", "side", "product"):
            assert getattr(trade, field) == getattr(report, field)


def sold_and_bought(trades: Sequence[TradeReport]) -> list[tuple[int, Decimal]]:
    return [(trade.quantity, trade.price) for trade in trades]


class OrderConformance:
    """Placing, filling, refusals; trades, positions, margins, updates."""

    async def test_it_says_its_name_and_that_it_is_logged_in(self, desk: ConformanceDesk) -> None:
        assert desk.adapter.name == Broker(desk.name)
        session = await desk.adapter.session()
        assert (session.broker, session.state) == (Broker(desk.name), SessionState.ACTIVE)
        assert session.since is not None
        assert session.since.utcoffset() == timedelta(0)

    async def test_an_account_in_which_nothing_happened_is_empty(self, desk: ConformanceDesk) -> None:
        adapter = desk.adapter
        for nothing in (adapter.orders, adapter.trades, adapter.positions, adapter.holdings):
            assert list(await nothing()) == []
        margins = await adapter.margins()
        assert margins.cash == margins.available > 0
        assert margins.used == 0

    @pytest.mark.parametrize(("terms", "status"), KINDS)
    async def test_an_order_of_each_kind_has_its_terms_and_its_tag_in_the_book(
        self, desk: ConformanceDesk, terms: dict[str, Any], status: BookStatus
    ) -> None:
        request = desk.request(**terms)
        report = await desk.sent(request)
        asked = request.terms
        assert (report.status, report.tag, report.quantity) == (status, request.tag, asked.quantity)
        for field in ("exchange", "tradingsymbol", "side", "product", "trigger_price", "variety"):
            assert getattr(report, field) == getattr(asked, field), field
        if asked.price is not None:
            assert report.price == asked.price
        # A market order may be shown as the limit order that market protection makes of it.
        shown = {asked.order_type, OrderType.LIMIT} if asked.order_type is OrderType.MARKET else {asked.order_type}
        assert report.order_type in shown
        check(report)
        assert await desk.adapter.find_by_tag(request.tag) == report
        assert [each.broker_order_id for each in await desk.tagged(request)] == [report.broker_order_id]

    @pytest.mark.parametrize("product", ["CNC", "MIS", "MTF"])
    async def test_a_product_of_shares_comes_back_in_order_trade_and_position(
        self, desk: ConformanceDesk, product: str
    ) -> None:
        report = await desk.place(product=product)
        check(report)
        assert {trade.product for trade in await desk.adapter.trades()} == {product}
        assert await desk.net() == {(desk.share.tradingsymbol, product): 10}
        assert list(await desk.adapter.holdings()) == []  # what was bought today is no holding yet

    @pytest.mark.parametrize("product", ["NRML", "MIS"])
    async def test_a_product_of_derivatives_comes_back_in_order_trade_and_position(
        self, desk: ConformanceDesk, product: str
    ) -> None:
        report = await desk.place(of=desk.future, product=product, side="SELL", quantity=desk.future.lot_size)
        check(report)
        assert await desk.net() == {(desk.future.tradingsymbol, product): -desk.future.lot_size}

    async def test_fills_are_the_markets_trades(self, desk: ConformanceDesk) -> None:
        await desk.trade("1500.05")
        report = await desk.place(quantity=7)
        check(report)
        assert sold_and_bought(report.trades or ()) == [(7, Decimal("1500.05"))]
        assert report.average_price == Decimal("1500.05")
        assert await desk.trades_of(report) == list(report.trades or ())

    async def test_a_part_fills_and_then_the_rest(self, desk: ConformanceDesk) -> None:
        resting = await desk.rest(price="1490")
        await desk.trade("1490", volume=4)
        part = await desk.until_filled(resting.broker_order_id, 4)
        assert (part.status, part.filled_quantity, part.quantity) == (BookStatus.OPEN, 4, 10)
        check(part)
        await desk.trade("1489")
        whole = await desk.until_filled(resting.broker_order_id, 10)
        check(whole)
        assert sold_and_bought(whole.trades or ()) == [(4, Decimal(1490)), (6, Decimal(1490))]
        assert part.trades == (whole.trades or ())[:1]

    async def test_a_market_order_larger_than_the_market_waits_with_its_rest(self, desk: ConformanceDesk) -> None:
        await desk.trade("1500", volume=4)
        part = await desk.place()
        assert (part.status, part.filled_quantity) == (BookStatus.OPEN, 4)
        await desk.trade("1501")
        whole = await desk.until_filled(part.broker_order_id, 10)
        assert whole.status is BookStatus.COMPLETE
        check(whole)

    async def test_an_ioc_order_keeps_what_it_got_and_is_cancelled(self, desk: ConformanceDesk) -> None:
        await desk.trade("1500", volume=4)
        report = await desk.place(validity="IOC")
        assert (report.status, report.filled_quantity) == (BookStatus.CANCELLED, 4)
        check(report)

    @pytest.mark.parametrize("stop", [STOP, STOP_M], ids=["SL", "SL-M"])
    async def test_a_stop_waits_for_its_trigger_and_then_trades(
        self, desk: ConformanceDesk, stop: dict[str, Any]
    ) -> None:
        waiting = await desk.place(**stop)
        await desk.trade("1495")
        assert (await desk.report(waiting.broker_order_id)).status is BookStatus.TRIGGER_PENDING
        await desk.trade("1490")
        filled = await desk.until_filled(waiting.broker_order_id, 10)
        check(filled)
        assert filled.average_price == Decimal(1490)

    async def test_an_iceberg_is_one_order(self, desk: ConformanceDesk) -> None:
        terms: dict[str, Any] = {"variety": "iceberg", "iceberg_legs": 5, "quantity": 50, "order_type": "LIMIT"}
        resting = desk.request(**terms, price="1400")
        assert ((await desk.sent(resting)).quantity, len(await desk.tagged(resting))) == (50, 1)
        await desk.cancelled((await desk.tagged(resting))[0])
        working = desk.request(**terms, price="1600")
        report = await desk.sent(working)

        async def is_filled() -> bool:
            await desk.trade("1500")
            return (await desk.report(report.broker_order_id)).status is BookStatus.COMPLETE

        await until(is_filled)
        [whole] = await desk.tagged(working)
        assert (whole.quantity, whole.filled_quantity) == (50, 50)
        check(await desk.report(report.broker_order_id))

    async def test_an_order_above_the_freeze_quantity_is_one_order(self, desk: ConformanceDesk) -> None:
        quantity = 60 * desk.future.lot_size
        request = desk.request(of=desk.future, product="NRML", quantity=quantity)
        report = await desk.sent(request)
        assert (report.status, report.filled_quantity) == (BookStatus.COMPLETE, quantity)
        check(report)
        assert len(await desk.tagged(request)) == 1
        assert sum(trade.quantity for trade in await desk.trades_of(report)) == quantity

    @pytest.mark.parametrize(
        ("terms", "word"),
        [
            ({"quantity": 9_000_000, "product": "CNC"}, "(?i)funds"),
            ({"side": "SELL", "product": "CNC"}, "(?i)holdings"),
            ({"order_type": "LIMIT", "price": "1400.03"}, "(?i)tick size"),
        ],
        ids=["funds", "holdings", "tick size"],
    )
    async def test_a_refusal_has_the_brokers_words_and_leaves_nothing(
        self, desk: ConformanceDesk, terms: dict[str, Any], word: str
    ) -> None:
        before = await desk.adapter.margins()
        request = desk.request(**terms)
        with pytest.raises(BrokerRejected, match=word):
            await desk.adapter.place(request)
        assert [each for each in await desk.tagged(request) if each.status is not BookStatus.REJECTED] == []
        assert list(await desk.adapter.trades()) == []
        assert await desk.adapter.margins() == before

    async def test_positions_are_what_the_trades_come_to(self, desk: ConformanceDesk) -> None:
        await desk.place(quantity=10)
        await desk.trade("1510")
        await desk.place(quantity=10)
        await desk.place(quantity=5, product="CNC")
        [average] = [each.average_price for each in await desk.adapter.positions() if each.product == "MIS"]
        assert average == Decimal(1505)
        await desk.place(quantity=20, side="SELL")  # flat: no position any more
        await desk.place(of=desk.future, product="NRML", side="SELL", quantity=desk.future.lot_size)
        summed: Counter[tuple[str, str]] = Counter()
        for trade in await desk.adapter.trades():
            summed[trade.tradingsymbol, trade.product] += trade.side.sign * trade.quantity
        assert await desk.net() == {key: net for key, net in summed.items() if net}
        assert len(await desk.net()) == 2

    async def test_margins_follow_orders_and_fills(self, desk: ConformanceDesk) -> None:
        free = (await desk.adapter.margins()).available
        resting = await desk.rest()
        blocked = (await desk.adapter.margins()).available
        assert blocked < free
        await desk.cancelled(resting)
        assert (await desk.adapter.margins()).available == free
        await desk.place()
        margins = await desk.adapter.margins()
        assert margins.used > 0
        assert margins.available < free

    async def test_every_trade_is_of_an_order_and_has_an_id_of_its_own(self, desk: ConformanceDesk) -> None:
        for _ in range(3):
            await desk.place()
        await desk.place(of=desk.future, product="NRML", quantity=60 * desk.future.lot_size)
        trades = await desk.adapter.trades()
        assert len({trade.trade_id for trade in trades}) == len(trades) >= 4
        orders = {report.broker_order_id: report for report in await desk.adapter.orders()}
        filled: Counter[str] = Counter()
        for trade in trades:
            filled[trade.broker_order_id] += trade.quantity
        assert filled == {number: report.filled_quantity for number, report in orders.items()}
        for report in orders.values():
            assert report.trades is None  # not read: unknown, not none

    async def test_orders_placed_at_once_do_not_mix(self, desk: ConformanceDesk) -> None:
        requests = [desk.request(quantity=1 + number) for number in range(20)]
        placed = await asyncio.gather(*(desk.adapter.place(request) for request in requests))
        assert len({each.broker_order_id for each in placed}) == 20
        found = await asyncio.gather(*(desk.adapter.find_by_tag(request.tag) for request in requests))
        for request, answer, report in zip(requests, placed, found, strict=True):
            assert report is not None
            assert report.broker_order_id == answer.broker_order_id
            assert (report.filled_quantity, report.tag) == (request.terms.quantity, request.tag)
            check(report)
        assert await desk.net() == {(desk.share.tradingsymbol, "MIS"): sum(range(1, 21))}

    async def test_what_befalls_a_resting_order_is_told(self, desk: ConformanceDesk) -> None:
        resting, cancelled = await desk.rest(price="1490"), await desk.rest()
        await desk.trade("1490")
        await desk.until_filled(resting.broker_order_id, 10)
        await desk.cancelled(cancelled)
        ends = {(resting.broker_order_id, BookStatus.COMPLETE), (cancelled.broker_order_id, BookStatus.CANCELLED)}

        async def told() -> bool:
            return ends <= {(update.broker_order_id, update.status) for update in desk.updates}

        await until(told)
        assert {update.tag for update in desk.updates} == {resting.tag, cancelled.tag}
