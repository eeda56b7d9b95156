"""The paper broker on real tables: what it answers, what it keeps, and what it does when told to fail."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.brokers.paper.adapter import REFUSED_TOKEN
from alphapanda.brokers.paper.exchange import WAITING
from alphapanda.brokers.paper.rehearsal import PaperAccountUnknown, PaperFault, arm_fault, expire_session
from alphapanda.brokers.protocol import AmbiguousOutcome, BrokerRejected, BrokerUnavailable, NotAuthenticated
from alphapanda.domain.execution import BookStatus, OrderChange
from alphapanda.domain.ids import Broker, Tag
from alphapanda.domain.vocabulary import SessionState
from tests.integration.brokers.conftest import Market, Open, check_the_books, until
from tests.unit.brokers.paper_desk import PAPER, request


async def test_a_market_order_is_filled_in_its_own_answer(
    open_broker: Open, market: Market, ledger_engine: AsyncEngine
) -> None:
    desk = await open_broker()
    await market.quote(1500)
    report = await desk.place("BUY1", quantity=10)
    assert report.status is BookStatus.COMPLETE
    assert report.trades is not None
    assert [(trade.quantity, trade.price) for trade in report.trades] == [(10, Decimal(1500))]
    assert await desk.broker.order(report.broker_order_id) == report
    assert await desk.broker.find_by_tag(Tag("BUY1")) == report
    assert list(await desk.broker.trades()) == list(report.trades)
    assert [row.broker_order_id for row in await desk.broker.orders()] == [report.broker_order_id]
    (position,) = await desk.broker.positions()
    assert (position.quantity, position.average_price) == (10, Decimal(1500))
    margins = await desk.broker.margins()
    assert margins.used == 3000
    assert margins.available == margins.cash - 3000
    await check_the_books(ledger_engine)


async def test_what_does_not_exist_is_absent(open_broker: Open) -> None:
    desk = await open_broker()
    assert await desk.broker.order("1") is None
    assert await desk.broker.find_by_tag(Tag("NONE")) is None
    assert list(await desk.broker.orders()) == []
    with pytest.raises(BrokerRejected, match="there is no order 1"):
        await desk.broker.cancel("1")
    with pytest.raises(BrokerRejected, match="there is no order 1"):
        await desk.broker.modify("1", OrderChange(quantity=2))


async def test_an_unknown_instrument_is_refused(open_broker: Open) -> None:
    desk = await open_broker()
    with pytest.raises(BrokerRejected, match="NSE:NOSUCH is not known"):
        await desk.place("X", tradingsymbol="NOSUCH")


async def test_the_book_survives_a_restart(open_broker: Open, market: Market, ledger_engine: AsyncEngine) -> None:
    first = await open_broker()
    await market.quote(1500, volume=100)
    filled = await first.place("CNC", quantity=10, product="CNC")
    part = await first.place("PART", quantity=200)
    resting = await first.place("REST", order_type="LIMIT", price="1450", quantity=10)
    stop = await first.place("STOP", order_type="SL-M", side="SELL", trigger_price="1440", quantity=10)
    before = await first.broker.margins()
    await first.stop()

    second = await open_broker()
    assert await second.broker.order(filled.broker_order_id) == filled
    assert await second.broker.margins() == before
    assert part.filled_quantity == 90
    # The tick whose volume is used up gives nothing to a new order either.
    assert (await second.place("AGAIN", quantity=5)).filled_quantity == 0
    second.start()
    await second.listening(market)
    await market.quote(1439)

    async def all_done() -> bool:
        ids = (part, resting, stop)
        return all([await second.status(order.broker_order_id) == "COMPLETE" for order in ids])

    await until(all_done)
    await check_the_books(ledger_engine)


async def test_resting_orders_fill_on_ticks_and_send_updates(open_broker: Open, market: Market) -> None:
    desk = await open_broker()
    desk.start()
    await desk.listening(market)
    order = await desk.place("REST", order_type="LIMIT", price="1490", quantity=10)
    assert order.status is BookStatus.OPEN
    await market.quote(1491)
    await market.quote(1489, volume=4)
    await market.quote(1489, volume=50)

    async def told() -> bool:
        return bool(desk.updates) and desk.updates[-1].status is BookStatus.COMPLETE

    await until(told)
    last = desk.updates[-1]
    assert last.trades is not None
    assert [(trade.quantity, trade.price) for trade in last.trades] == [(4, Decimal(1490)), (6, Decimal(1490))]


async def test_an_order_placed_by_another_process_is_noticed_and_filled(open_broker: Open, market: Market) -> None:
    matching, placing = await open_broker(), await open_broker()
    matching.start()
    await matching.listening(market)
    order = await placing.place("REST", order_type="LIMIT", price="1490")

    async def filled() -> bool:
        await market.quote(1489)
        return await placing.status(order.broker_order_id) == "COMPLETE"

    await until(filled)
    with pytest.raises(BrokerRejected, match="COMPLETE"):
        await placing.broker.cancel(order.broker_order_id)


async def test_a_cancel_and_a_modification_take_effect_and_send_updates(open_broker: Open, market: Market) -> None:
    desk = await open_broker()
    desk.start()
    await desk.listening(market)
    first = await desk.place("A", order_type="LIMIT", price="1400")
    second = await desk.place("B", order_type="LIMIT", price="1400")
    await desk.broker.cancel(first.broker_order_id)
    await desk.broker.modify(second.broker_order_id, OrderChange(price=Decimal(1600)))
    assert await desk.status(first.broker_order_id) == "CANCELLED"
    assert await desk.status(second.broker_order_id) == "COMPLETE"

    async def told() -> bool:
        return {update.status for update in desk.updates} == {BookStatus.CANCELLED, BookStatus.COMPLETE}

    await until(told)


async def test_a_market_order_on_a_stale_quote_waits_for_a_fresh_one(open_broker: Open, market: Market) -> None:
    desk = await open_broker()
    await market.quote(1500, age_s=60)
    order = await desk.place("WAIT")
    assert (order.status, order.message) == (BookStatus.OPEN, WAITING)
    desk.start()

    async def filled() -> bool:
        await market.quote(1510)
        return await desk.status(order.broker_order_id) == "COMPLETE"

    await until(filled)


async def test_an_ioc_order_without_a_quote_is_cancelled(open_broker: Open) -> None:
    order = await (await open_broker()).place("IOC", validity="IOC")
    assert order.status is BookStatus.CANCELLED


async def test_expiry_happens_without_any_tick(open_broker: Open, market: Market) -> None:
    passed = timedelta(0)
    desk = await open_broker(now=lambda: datetime.now(UTC) + passed)
    await market.quote(1500)
    order = await desk.place("TTL", order_type="LIMIT", price="1400", validity="TTL", validity_minutes=5)
    desk.start()
    passed = timedelta(minutes=6)

    async def expired() -> bool:
        return bool(desk.updates)

    await until(expired)
    assert desk.updates[0].status is BookStatus.EXPIRED
    assert await desk.status(order.broker_order_id) == "EXPIRED"


async def test_a_dropped_subscription_is_renewed_and_the_missed_touch_found(
    open_broker: Open, market: Market, redis: "Redis"
) -> None:
    desk = await open_broker()
    desk.start()
    await desk.listening(market)
    order = await desk.place("REST", order_type="LIMIT", price="1490")
    await redis.client_kill_filter(_type="pubsub")
    await market.quote(1489)

    async def filled() -> bool:
        return await desk.status(order.broker_order_id) == "COMPLETE"

    await until(filled)


async def test_run_ends_cleanly_when_cancelled_and_can_be_started_again(open_broker: Open, market: Market) -> None:
    desk = await open_broker()
    for _ in range(2):
        desk.start()
        await desk.listening(market)
        assert desk.running is not None
        desk.running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await desk.running
        desk.running = None
    await desk.broker.close()
    await desk.broker.close()
    assert isinstance(await desk.place_anyway("LATE"), BrokerUnavailable)


async def test_an_expired_session_refuses_every_call_until_a_login(
    open_broker: Open, market: Market, ledger_engine: AsyncEngine
) -> None:
    desk = await open_broker()
    await market.quote(1500)
    order = await desk.place("REST", order_type="LIMIT", price="1400")
    assert (await desk.broker.session()).state is SessionState.ACTIVE
    await expire_session(ledger_engine, PAPER)
    assert (await desk.broker.session()).state is SessionState.EXPIRED
    broker = desk.broker
    for call in (
        lambda: broker.place(request("NO")), lambda: broker.cancel(order.broker_order_id),
        lambda: broker.modify(order.broker_order_id, OrderChange(quantity=2)), broker.orders, broker.trades,
        lambda: broker.order(order.broker_order_id), lambda: broker.find_by_tag(Tag("REST")), broker.positions,
        broker.margins,
    ):  # fmt: skip
        with pytest.raises(NotAuthenticated):
            await call()
    for token in ("", REFUSED_TOKEN):
        with pytest.raises(NotAuthenticated):
            await broker.open_session(token)
    assert (await broker.open_session("any")).state is SessionState.ACTIVE
    assert (await desk.place("YES")).status is BookStatus.COMPLETE


async def test_a_lost_reply_leaves_the_order_to_be_found_by_its_tag(
    open_broker: Open, market: Market, ledger_engine: AsyncEngine
) -> None:
    desk = await open_broker()
    await market.quote(1500)
    await desk.broker.session()
    await arm_fault(ledger_engine, PAPER, PaperFault.LOSE_REPLY, 1)
    assert isinstance(await desk.place_anyway("LOST"), AmbiguousOutcome)
    found = await desk.broker.find_by_tag(Tag("LOST"))
    assert found is not None
    assert found.status is BookStatus.COMPLETE
    assert await desk.place_anyway("NEXT") is None


async def test_a_lost_request_leaves_nothing(open_broker: Open, market: Market, ledger_engine: AsyncEngine) -> None:
    desk = await open_broker()
    await market.quote(1500)
    await desk.broker.session()
    await arm_fault(ledger_engine, PAPER, PaperFault.LOSE_REQUEST, 1)
    assert isinstance(await desk.place_anyway("LOST"), AmbiguousOutcome)
    assert await desk.broker.find_by_tag(Tag("LOST")) is None


async def test_a_hidden_order_appears_in_the_book_late(
    open_broker: Open, market: Market, ledger_engine: AsyncEngine
) -> None:
    passed = timedelta(0)
    desk = await open_broker(now=lambda: datetime.now(UTC) + passed)
    await market.quote(1500)
    await desk.broker.session()
    await arm_fault(ledger_engine, PAPER, PaperFault.HIDE_FROM_BOOK, 1, hide_s=120)
    assert isinstance(await desk.place_anyway("HIDDEN"), AmbiguousOutcome)
    assert await desk.broker.find_by_tag(Tag("HIDDEN")) is None
    assert not await desk.broker.orders()
    assert not await desk.broker.trades()
    passed = timedelta(seconds=121)
    found = await desk.broker.find_by_tag(Tag("HIDDEN"))
    assert found is not None
    assert found.status is BookStatus.COMPLETE
    assert len(await desk.broker.trades()) == 1


async def test_an_unavailable_broker_places_nothing_and_a_failing_book_is_not_an_empty_one(
    open_broker: Open, market: Market, ledger_engine: AsyncEngine
) -> None:
    desk = await open_broker()
    await market.quote(1500)
    await desk.broker.session()
    await arm_fault(ledger_engine, PAPER, PaperFault.UNAVAILABLE, 1)
    assert isinstance(await desk.place_anyway("T"), BrokerUnavailable)
    await arm_fault(ledger_engine, PAPER, PaperFault.BOOK_UNAVAILABLE, 2)
    for _ in range(2):
        with pytest.raises(BrokerUnavailable):
            await desk.broker.find_by_tag(Tag("T"))
    assert await desk.broker.find_by_tag(Tag("T")) is None


async def test_a_rejection_on_purpose_is_in_the_book(
    open_broker: Open, market: Market, ledger_engine: AsyncEngine
) -> None:
    desk = await open_broker()
    await market.quote(1500)
    await desk.broker.session()
    await arm_fault(ledger_engine, PAPER, PaperFault.REJECT_NEXT, 1)
    report = await desk.place("NO")
    assert report.status is BookStatus.REJECTED
    assert await desk.broker.find_by_tag(Tag("NO")) == report


async def test_an_armed_fault_is_spent_once_across_processes(
    open_broker: Open, market: Market, ledger_engine: AsyncEngine
) -> None:
    desks = [await open_broker(), await open_broker()]
    await market.quote(1500)
    await desks[0].broker.session()
    await arm_fault(ledger_engine, PAPER, PaperFault.LOSE_REQUEST, 7)
    ended = await asyncio.gather(*(desks[n % 2].place_anyway(f"T{n}") for n in range(20)))
    assert sum(isinstance(error, AmbiguousOutcome) for error in ended) == 7
    assert sum(error is None for error in ended) == 13


async def test_a_rehearsal_needs_an_account(ledger_engine: AsyncEngine) -> None:
    with pytest.raises(PaperAccountUnknown, match="no paper account of nobody"):
        await expire_session(ledger_engine, Broker("nobody"))


async def test_a_database_that_cannot_be_reached_is_unavailable_not_empty(open_broker: Open, tmp_path: Path) -> None:
    desk = await open_broker(url=f"postgresql+asyncpg://alphapanda@/nowhere?host={tmp_path}")
    assert isinstance(await desk.place_anyway("B"), BrokerUnavailable)
    for read in (desk.broker.orders, desk.broker.positions, desk.broker.margins, desk.broker.session):
        with pytest.raises(BrokerUnavailable):
            await read()


async def test_cut_connections_leave_outcomes_unknown_at_worst_and_the_exchange_recovers(
    open_broker: Open, market: Market, ledger_engine: AsyncEngine
) -> None:
    desk = await open_broker()
    desk.start()
    await desk.listening(market)
    resting = await desk.place("REST", order_type="LIMIT", price="1490")
    placing = [asyncio.create_task(desk.place_anyway(f"T{number}")) for number in range(30)]
    async with ledger_engine.connect() as connection:
        for _ in range(3):
            await connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
    ended = await asyncio.gather(*placing)
    assert all(error is None or isinstance(error, AmbiguousOutcome | BrokerUnavailable) for error in ended)

    async def filled() -> bool:
        await market.quote(1489)
        with suppress(BrokerUnavailable):
            return await desk.status(resting.broker_order_id) == "COMPLETE"
        return False

    await until(filled)
    for number, error in enumerate(ended):
        found = await desk.broker.find_by_tag(Tag(f"T{number}"))
        if not isinstance(error, AmbiguousOutcome):
            assert (found is None) is (error is not None)
    await check_the_books(ledger_engine)
