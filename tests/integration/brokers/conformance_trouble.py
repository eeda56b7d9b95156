"""Conformance: what is known when something goes wrong, and what is never claimed."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from alphapanda.brokers.protocol import (
    AmbiguousOutcome,
    BrokerError,
    BrokerUnavailable,
    NotAuthenticated,
    NotPermitted,
    RateLimited,
)
from alphapanda.domain.execution import BookStatus, OrderChange, OrderReport, OrderRequest
from alphapanda.domain.vocabulary import SessionState
from tests.integration.brokers.conformance_desk import ConformanceDesk, Trouble

Call = Callable[[], Awaitable[object]]


def book_reads(desk: ConformanceDesk, order: OrderReport, request: OrderRequest) -> dict[str, Call]:
    adapter = desk.adapter
    return {
        "orders": adapter.orders,
        "order": lambda: adapter.order(order.broker_order_id),
        "find_by_tag": lambda: adapter.find_by_tag(request.tag),
        "trades": adapter.trades,
        "positions": adapter.positions,
        "margins": adapter.margins,
    }


def every_call(desk: ConformanceDesk, order: OrderReport, request: OrderRequest) -> dict[str, Call]:
    """All that needs a session."""
    adapter = desk.adapter
    return {
        **book_reads(desk, order, request),
        "holdings": adapter.holdings,
        "place": lambda: adapter.place(request),
        "modify": lambda: adapter.modify(order.broker_order_id, OrderChange(quantity=20)),
        "cancel": lambda: adapter.cancel(order.broker_order_id),
    }


async def ends_of(calls: dict[str, Call]) -> dict[str, type[BaseException] | None]:
    """How each call ended: its error, or None."""
    ended = await asyncio.gather(*(call() for call in calls.values()), return_exceptions=True)
    errors = [type(each) if isinstance(each, BaseException) else None for each in ended]
    return dict(zip(calls, errors, strict=True))


class TroubleConformance:
    """Doubt, refusals, outages, sessions, the end."""

    async def test_an_order_whose_reply_is_lost_is_in_doubt_and_in_the_book_once(self, desk: ConformanceDesk) -> None:
        await desk.trouble(Trouble.LOST_REPLY)
        request = desk.request()
        with pytest.raises(AmbiguousOutcome):
            await desk.adapter.place(request)
        found = await desk.adapter.find_by_tag(request.tag)
        assert found is not None
        assert (found.status, found.filled_quantity) == (BookStatus.COMPLETE, 10)
        assert [each.broker_order_id for each in await desk.tagged(request)] == [found.broker_order_id]
        assert sum(trade.quantity for trade in await desk.adapter.trades()) == 10

    async def test_an_order_whose_request_is_lost_is_in_doubt_and_nowhere(self, desk: ConformanceDesk) -> None:
        await desk.trouble(Trouble.LOST_REQUEST)
        request = desk.request()
        with pytest.raises(AmbiguousOutcome):
            await desk.adapter.place(request)
        assert await desk.adapter.find_by_tag(request.tag) is None
        assert await desk.tagged(request) == []
        await desk.sent(request)  # whoever decides to send it again may use its tag again
        assert len(await desk.tagged(request)) == 1

    async def test_an_order_that_the_book_does_not_show_yet_is_found_later(self, desk: ConformanceDesk) -> None:
        await desk.trouble(Trouble.HIDDEN)
        request = desk.request()
        with pytest.raises(AmbiguousOutcome):
            await desk.adapter.place(request)
        assert await desk.adapter.find_by_tag(request.tag) is None
        assert not await desk.adapter.orders()
        assert not await desk.adapter.trades()
        await desk.calm()
        found = await desk.adapter.find_by_tag(request.tag)
        assert found is not None
        assert found.status is BookStatus.COMPLETE
        assert len(await desk.tagged(request)) == 1

    @pytest.mark.parametrize("command", ["modify", "cancel"])
    async def test_a_change_whose_reply_is_lost_is_in_doubt_and_made(self, desk: ConformanceDesk, command: str) -> None:
        resting = await desk.rest()
        await desk.trouble(Trouble.LOST_CHANGE_REPLY)
        with pytest.raises(AmbiguousOutcome):
            if command == "cancel":
                await desk.adapter.cancel(resting.broker_order_id)
            else:
                await desk.adapter.modify(resting.broker_order_id, OrderChange(quantity=20))
        changed = await desk.report(resting.broker_order_id)
        assert (changed.status is BookStatus.CANCELLED, changed.quantity == 20) == (
            command == "cancel", command == "modify"
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("trouble", "error"),
        [
            (Trouble.UNREACHABLE, BrokerUnavailable),
            (Trouble.TOO_MANY_REQUESTS, RateLimited),
            (Trouble.NOT_PERMITTED, NotPermitted),
        ],
    )
    async def test_what_is_proved_unplaced_was_not_placed(
        self, desk: ConformanceDesk, trouble: Trouble, error: type[BrokerError]
    ) -> None:
        await desk.trouble(trouble)
        request = desk.request()
        with pytest.raises(error) as caught:
            await desk.adapter.place(request)
        assert caught.type is error
        if isinstance(caught.value, RateLimited):
            assert caught.value.retry_after_s > 0
        assert await desk.adapter.find_by_tag(request.tag) is None
        assert (await desk.sent(request)).status is BookStatus.COMPLETE

    async def test_an_order_that_the_exchange_rejects_is_in_the_book_with_its_words(
        self, desk: ConformanceDesk
    ) -> None:
        await desk.trouble(Trouble.REJECTED_BY_EXCHANGE)
        request = desk.request()
        placed = await desk.adapter.place(request)
        report = await desk.ended(placed.broker_order_id)
        assert (report.status, report.filled_quantity, report.trades) == (BookStatus.REJECTED, 0, ())
        assert "rejected" in report.message
        assert await desk.adapter.find_by_tag(request.tag) == report
        assert await desk.net() == {}

    async def test_an_order_for_the_day_ends_with_the_day(self, desk: ConformanceDesk) -> None:
        resting = await desk.rest()
        await desk.trouble(Trouble.DAY_ENDS)
        ended = await desk.ended(resting.broker_order_id)
        assert (ended.status in (BookStatus.EXPIRED, BookStatus.CANCELLED), ended.filled_quantity) == (True, 0)

    async def test_a_book_that_cannot_be_read_is_unavailable_and_not_empty(self, desk: ConformanceDesk) -> None:
        request = desk.request()
        order = await desk.sent(request)
        await desk.trouble(Trouble.BOOK_UNAVAILABLE)
        reads = book_reads(desk, order, request)
        assert await ends_of(reads) == dict.fromkeys(reads, BrokerUnavailable)
        await desk.calm()
        assert await ends_of(reads) == dict.fromkeys(reads)
        assert await desk.adapter.find_by_tag(request.tag) == order

    async def test_a_dead_session_ends_every_call_and_sends_nothing_until_a_login(self, desk: ConformanceDesk) -> None:
        resting = await desk.rest()
        request = desk.request()
        await desk.kill_session()
        calls = every_call(desk, resting, request)
        assert await ends_of(calls) == dict.fromkeys(calls, NotAuthenticated)
        assert (await desk.adapter.session()).state.needs_login
        assert await ends_of(calls) == dict.fromkeys(calls, NotAuthenticated)
        for token in ("", desk.refused_request_token):
            with pytest.raises(NotAuthenticated):
                await desk.adapter.open_session(token)
        assert (await desk.adapter.session()).state.needs_login

        opened = await desk.adapter.open_session(desk.request_token())
        assert opened.state is SessionState.ACTIVE
        assert (await desk.adapter.session()).state is SessionState.ACTIVE
        assert await desk.adapter.find_by_tag(request.tag) is None
        assert await desk.report(resting.broker_order_id) == resting
        assert (await desk.sent(request)).status is BookStatus.COMPLETE

    async def test_a_second_login_harms_nobody(self, desk: ConformanceDesk) -> None:
        first = await desk.adapter.open_session(desk.request_token())
        resting = await desk.rest()
        second = await desk.adapter.open_session(desk.request_token())
        assert first.since is not None
        assert second.since is not None
        assert second.since > first.since
        assert await desk.report(resting.broker_order_id) == resting

    async def test_after_close_every_call_fails_and_nothing_is_sent(self, desk: ConformanceDesk) -> None:
        order, request = await desk.rest(), desk.request()
        await desk.adapter.close()
        await desk.adapter.close()
        calls = every_call(desk, order, request)
        calls["open_session"] = lambda: desk.adapter.open_session(desk.request_token())
        assert await ends_of(calls) == dict.fromkeys(calls, BrokerUnavailable)
        try:
            state = (await desk.adapter.session()).state
        except BrokerError:
            state = SessionState.UNKNOWN
        assert state is SessionState.UNKNOWN
