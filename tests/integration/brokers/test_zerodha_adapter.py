"""The adapter through a real HTTP server: what each call of the protocol asks of Kite, and makes of the answer."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from alphapanda.brokers.protocol import (
    AmbiguousOutcome,
    BrokerRejected,
    BrokerUnavailable,
    NotAuthenticated,
)
from alphapanda.brokers.zerodha.adapter import ZerodhaBroker
from alphapanda.domain.execution import BookStatus, OrderChange, OrderReport
from alphapanda.domain.ids import Tag
from alphapanda.domain.vocabulary import SessionState
from alphapanda.live.limits import CallKind
from tests.integration.brokers.kite_server import (
    ZERODHA,
    KiteServer,
    Send,
    Session,
    Turns,
    answer,
    hang,
    kite_server,
    refusal,
    settings_for,
    success,
)
from tests.unit.brokers.zerodha.kite_rows import NOW, OURS, leg_row, order_row, request, slice_row, trade_row

FILLED: dict[str, Any] = {"status": "COMPLETE", "filled_quantity": 10, "average_price": 1500.05}
NO_SUCH_ORDER = refusal(400, "OrderException", "Couldn't find that order.")


class Desk:
    def __init__(self, server: KiteServer, **settings: Any) -> None:
        self.server = server
        self.session = Session()
        self.turns = Turns()
        self.lost: list[str] = []
        self.broker = ZerodhaBroker(
            ZERODHA, settings_for(server.url, **settings), self.session, self.turns,
            on_update=self._update, on_reconnect=self._reconnect, on_session_lost=self._lost, now=lambda: NOW,
        )  # fmt: skip

    async def _update(self, report: OrderReport) -> None: ...

    async def _reconnect(self) -> None: ...

    async def _lost(self, detail: str) -> None:
        self.lost.append(detail)

    def book(self, *rows: dict[str, Any]) -> None:
        self.server.script["GET /orders"] = success(list(rows))

    def trades(self, *rows: dict[str, Any]) -> None:
        self.server.script["GET /trades"] = success(list(rows))


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with kite_server() as server:
        made = Desk(server)
        yield made
        await made.broker.close()


async def test_an_order_is_placed_with_its_tag_and_a_turn_of_its_kind(desk: Desk) -> None:
    desk.server.usual = success({"order_id": "1914227164488687616"})
    placed = await desk.broker.place(request(variety="amo", order_type="LIMIT", price="1400.50"))
    assert (placed.broker_order_id, placed.report) == ("1914227164488687616", None)
    (seen,) = desk.server.seen
    assert (seen.method, seen.path, seen.form["tag"], seen.form["price"]) == ("POST", "/orders/amo", OURS, "1400.5")
    await desk.broker.place(request().model_copy(update={"is_exit": True}))
    assert desk.turns.asked == [CallKind.PLACE, CallKind.EXIT]


async def test_an_order_whose_deadline_passed_while_it_waited_its_turn_is_not_sent(desk: Desk) -> None:
    late = request().model_copy(update={"send_before": datetime.now(UTC)})
    with pytest.raises(BrokerUnavailable, match="nothing was sent"):
        await desk.broker.place(late)
    assert desk.server.seen == []


async def test_a_change_of_an_exit_may_use_what_is_kept_for_exits(desk: Desk) -> None:
    desk.book(slice_row("7", quantity=1800))
    await desk.broker.modify("7", OrderChange(price=Decimal("1502")), is_exit=True)
    assert desk.turns.asked == [CallKind.READ, CallKind.EXIT]


async def test_a_sliced_order_is_known_by_its_own_id(desk: Desk) -> None:
    desk.server.usual = success({"order_id": "99", "children": [{"order_id": "1"}, {"order_id": "2"}]})
    asked = request(exchange="NFO", tradingsymbol="NIFTY26NOVFUT", product="NRML", quantity=3600)
    placed = await desk.broker.place(asked)
    assert (placed.broker_order_id, placed.report) == ("99", None)
    assert [seen.form["autoslice"] for seen in desk.server.seen] == ["true"]


async def test_a_slice_that_was_refused_is_told_as_what_was_not_placed(desk: Desk) -> None:
    error = {"code": 400, "error_type": "MarginException", "message": "Insufficient funds."}
    children = [{"order_id": "1"}, {"order_id": "2"}, {"error": error}]
    desk.server.script["POST /orders/regular"] = success({"order_id": "99", "children": children})
    part: dict[str, Any] = {"exchange": "NFO", "tradingsymbol": "NIFTY26NOVFUT", "product": "NRML", "quantity": 1755}
    desk.book(slice_row("1", **part), slice_row("2", **part))
    placed = await desk.broker.place(
        request(exchange="NFO", tradingsymbol="NIFTY26NOVFUT", product="NRML", quantity=4000)
    )  # fmt: skip
    assert placed.report is not None
    assert (placed.broker_order_id, placed.report.broker_order_id) == ("99", "99")
    assert (placed.report.quantity, placed.report.unplaced_quantity) == (3510, 490)
    assert placed.report.message == "Insufficient funds."
    again = await desk.broker.order("99")
    assert again is not None
    assert again.unplaced_quantity == 490


async def test_a_placement_stands_though_the_book_cannot_be_read_after_it(desk: Desk) -> None:
    error = {"code": 400, "error_type": "MarginException", "message": "Insufficient funds."}
    children = [{"order_id": "1"}, {"error": error}]
    desk.server.script["POST /orders/regular"] = success({"order_id": "99", "children": children})
    desk.server.script["GET /orders"] = answer(502, "<html>", "text/html")
    placed = await desk.broker.place(
        request(exchange="NFO", tradingsymbol="NIFTY26NOVFUT", product="NRML", quantity=3600)
    )  # fmt: skip
    assert (placed.broker_order_id, placed.report) == ("99", None)


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        ({"code": 400, "error_type": "MarginException", "message": "Insufficient funds."}, BrokerRejected),
        ({"code": 503, "error_type": "NetworkException", "message": "away"}, AmbiguousOutcome),
    ],
)
async def test_an_order_of_which_no_slice_was_taken_ends_as_its_slices_did(
    desk: Desk, error: dict[str, Any], raised: type[Exception]
) -> None:
    desk.server.usual = success({"order_id": "99", "children": [{"error": error}, {"error": error}]})
    with pytest.raises(raised):
        await desk.broker.place(
            request(exchange="NFO", tradingsymbol="NIFTY26NOVFUT", product="NRML", quantity=3600)
        )  # fmt: skip


async def test_any_number_of_lookups_share_the_readings_of_the_book(desk: Desk) -> None:
    desk.book(order_row("1", **FILLED))
    desk.trades(trade_row("7"))
    found = await asyncio.gather(*(desk.broker.find_by_tag(Tag(OURS)) for _ in range(50)))
    assert all(report == found[0] for report in found)
    assert found[0] is not None
    assert [trade.trade_id for trade in found[0].trades or ()] == ["1:7"]
    calls = desk.server.calls()
    assert calls.count("GET /orders") <= 2
    assert calls.count("GET /trades") <= 2


async def test_the_rows_of_the_book_count_as_order_calls_of_the_day(desk: Desk) -> None:
    desk.book(slice_row("1", quantity=1800), slice_row("2", quantity=1800))
    await desk.broker.orders()
    assert desk.turns.learned == [2]


async def test_trades_are_not_asked_for_where_nothing_was_filled(desk: Desk) -> None:
    desk.book(order_row("1"))
    report = await desk.broker.find_by_tag(Tag(OURS))
    assert report is not None
    assert report.trades == ()
    assert desk.server.calls() == ["GET /orders"]


async def test_an_order_that_the_book_does_not_show_yet_is_found_in_its_history(desk: Desk) -> None:
    desk.book()
    desk.server.script["GET /orders/7"] = success([order_row("7", status="PUT ORDER REQ RECEIVED"), order_row("7")])
    report = await desk.broker.order("7")
    assert report is not None
    assert report.status is BookStatus.OPEN


async def test_only_the_broker_says_that_an_order_does_not_exist(desk: Desk) -> None:
    desk.book()
    desk.server.script["GET /orders/7"] = NO_SUCH_ORDER
    assert await desk.broker.order("7") is None
    assert await desk.broker.order("../../session/token") is None
    desk.server.script["GET /orders/7"] = refusal(503, "NetworkException", "away")
    with pytest.raises(BrokerUnavailable):
        await desk.broker.order("7")
    assert not [path for path in desk.server.calls() if "session" in path]


@pytest.mark.parametrize("body", [{"status": "success", "data": None}, {"status": "success", "data": {}}, "[]"])
async def test_a_book_of_another_shape_is_not_an_empty_book(desk: Desk, body: Any) -> None:
    desk.server.script["GET /orders"] = answer(200, body)
    with pytest.raises(BrokerUnavailable):
        await desk.broker.find_by_tag(Tag(OURS))
    with pytest.raises(BrokerUnavailable):
        await desk.broker.orders()


async def test_a_trade_that_cannot_be_read_is_not_left_out_of_its_order(desk: Desk) -> None:
    desk.book(order_row("1", **FILLED), order_row("2", tag=None, tags=None, **FILLED))
    desk.trades({**trade_row("7"), "quantity": None}, trade_row("8", "2"))
    with pytest.raises(BrokerUnavailable):
        await desk.broker.order("1")
    other = await desk.broker.order("2")
    assert other is not None
    assert [trade.trade_id for trade in other.trades or ()] == ["2:8"]


async def test_trades_of_slices_come_under_the_sliced_orders_id(desk: Desk) -> None:
    desk.book(slice_row("1", **FILLED), slice_row("2", **FILLED))
    desk.trades(trade_row("7", "1"), trade_row("8", "2"), trade_row("9", "55"))
    assert [trade.broker_order_id for trade in await desk.broker.trades()] == ["99", "99", "55"]


@pytest.mark.parametrize(
    ("row", "asked"),
    [
        (order_row("1"), ["DELETE /orders/regular/1"]),
        (leg_row("1", 2), ["DELETE /orders/iceberg/1"]),
        (order_row("1", variety="amo", status="AMO REQ RECEIVED"), ["DELETE /orders/amo/1"]),
        (order_row("1", variety="amo"), ["DELETE /orders/regular/1"]),
    ],
)
async def test_an_order_is_cancelled_by_its_variety(desk: Desk, row: dict[str, Any], asked: list[str]) -> None:
    desk.book(row)
    await desk.broker.cancel("1")
    assert desk.server.calls()[1:] == asked
    assert desk.turns.asked == [CallKind.READ, CallKind.CANCEL]


async def test_an_amo_is_cancelled_as_regular_when_its_variety_is_refused(desk: Desk) -> None:
    """The book may still say that it waits for the open."""
    desk.book(order_row("1", variety="amo", status="AMO REQ RECEIVED"))
    desk.server.script["DELETE /orders/amo/1"] = NO_SUCH_ORDER
    await desk.broker.cancel("1")
    assert desk.server.calls()[1:] == ["DELETE /orders/amo/1", "DELETE /orders/regular/1"]


async def test_a_cancel_in_doubt_is_not_tried_by_another_variety(desk: Desk) -> None:
    desk.book(order_row("1", variety="amo"))
    desk.server.script["DELETE /orders/regular/1"] = answer(504, "<html>", "text/html")
    with pytest.raises(AmbiguousOutcome):
        await desk.broker.cancel("1")
    assert desk.server.calls()[1:] == ["DELETE /orders/regular/1"]


async def test_every_slice_that_still_works_is_cancelled(desk: Desk) -> None:
    desk.book(slice_row("1", **FILLED), slice_row("2"), slice_row("3"))
    desk.server.script["DELETE /orders/regular/2"] = refusal(400, "OrderException", "It is being processed.")
    await desk.broker.cancel("99")
    assert desk.server.calls()[1:] == ["DELETE /orders/regular/2", "DELETE /orders/regular/3"]
    desk.server.script["DELETE /orders/regular/3"] = answer(504, "<html>", "text/html")
    with pytest.raises(AmbiguousOutcome):
        await desk.broker.cancel("99")
    desk.server.script["DELETE /orders/regular/3"] = refusal(400, "OrderException", "It is being processed.")
    with pytest.raises(BrokerRejected, match="being processed"):
        await desk.broker.cancel("99")


async def test_what_has_ended_cannot_be_cancelled_or_changed(desk: Desk) -> None:
    desk.book(order_row("1", status="CANCELLED"), leg_row("2", 1, tag=None, tags=None, **FILLED))
    with pytest.raises(BrokerRejected, match="order 1 is CANCELLED: it cannot be cancelled"):
        await desk.broker.cancel("1")
    with pytest.raises(BrokerRejected, match="order 1 is CANCELLED: it cannot be modified"):
        await desk.broker.modify("1", OrderChange(price=Decimal(1)))
    with pytest.raises(BrokerUnavailable, match="between two legs"):
        await desk.broker.cancel("2")
    assert set(desk.server.calls()) == {"GET /orders"}


async def test_of_an_order_nobody_knows_the_broker_has_the_last_word(desk: Desk) -> None:
    desk.book()
    desk.server.usual = NO_SUCH_ORDER
    with pytest.raises(BrokerRejected, match="find that order"):
        await desk.broker.cancel("7")
    with pytest.raises(BrokerRejected, match="there is no order 7"):
        await desk.broker.modify("7", OrderChange(price=Decimal(1)))
    assert [call for call in desk.server.calls() if call.startswith(("DELETE", "PUT"))] == ["DELETE /orders/regular/7"]


async def test_a_change_of_price_reaches_every_slice_that_still_works(desk: Desk) -> None:
    desk.book(slice_row("1", **FILLED), slice_row("2"), slice_row("3"))
    await desk.broker.modify("99", OrderChange(price=Decimal("1501.50")))
    changed = [seen for seen in desk.server.seen if seen.method == "PUT"]
    assert [(seen.path, seen.form["price"]) for seen in changed] == [
        ("/orders/regular/2", "1501.5"), ("/orders/regular/3", "1501.5"),
    ]  # fmt: skip
    with pytest.raises(BrokerRejected, match="cancel it and send a new one"):
        await desk.broker.modify("99", OrderChange(quantity=20))
    desk.server.script["PUT /orders/regular/3"] = refusal(400, "OrderException", "It is being processed.")
    with pytest.raises(AmbiguousOutcome, match="1 of 2 parts were changed"):
        await desk.broker.modify("99", OrderChange(price=Decimal("1502")))
    desk.server.script["PUT /orders/regular/2"] = refusal(400, "OrderException", "It is being processed.")
    with pytest.raises(BrokerRejected, match="being processed"):
        await desk.broker.modify("99", OrderChange(price=Decimal("1502")))


@pytest.mark.parametrize("send", [refusal(403, "TokenException", "dead"), refusal(429, "NetworkException", "slow")])
async def test_a_split_order_that_was_changed_in_part_is_never_told_as_unchanged(desk: Desk, send: Send) -> None:
    desk.book(slice_row("1"), slice_row("2"))
    desk.server.script["PUT /orders/regular/2"] = send
    with pytest.raises(AmbiguousOutcome, match="1 of 2 parts were changed"):
        await desk.broker.modify("99", OrderChange(price=Decimal("1502")))


async def test_an_amo_is_changed_as_regular_after_the_open(desk: Desk) -> None:
    desk.book(order_row("1", variety="amo"))
    await desk.broker.modify("1", OrderChange(price=Decimal("1502")))
    desk.book(order_row("1", variety="amo", status="AMO REQ RECEIVED"))
    desk.server.script["PUT /orders/amo/1"] = NO_SUCH_ORDER
    await desk.broker.modify("1", OrderChange(price=Decimal("1502")))
    changes = [call for call in desk.server.calls() if call.startswith("PUT")]
    assert changes == ["PUT /orders/regular/1", "PUT /orders/amo/1", "PUT /orders/regular/1"]


HELD: dict[str, Any] = {"exchange": "NSE", "tradingsymbol": "INFY", "product": "CNC", "average_price": 1500}


@pytest.mark.parametrize("broken", [{"quantity": "many", "opening_quantity": "many"}, {"tradingsymbol": None}])
async def test_what_is_held_and_cannot_be_read_is_not_flat(desk: Desk, broken: dict[str, Any]) -> None:
    row = {**HELD, "quantity": 5, "opening_quantity": 5}
    desk.server.script["GET /portfolio/positions"] = success({"net": [row, {**row, **broken}], "day": []})
    desk.server.script["GET /portfolio/holdings"] = success([row, {**row, **broken}])
    for read in (desk.broker.positions, desk.broker.holdings):
        with pytest.raises(BrokerUnavailable):
            await read()


async def test_what_is_held_of_a_kind_nobody_trades_here_is_left_out(desk: Desk) -> None:
    row = {**HELD, "quantity": 5, "opening_quantity": 5}
    desk.server.script["GET /portfolio/positions"] = success({"net": [row, {**row, "product": "BO"}], "day": []})
    desk.server.script["GET /portfolio/holdings"] = success([row, {**row, "exchange": "NSEIX"}])
    assert [len(await read()) for read in (desk.broker.positions, desk.broker.holdings)] == [1, 1]


@pytest.mark.parametrize(
    ("send", "is_dead"),
    [
        (refusal(403, "TokenException", "Incorrect `access_token`."), True),
        (success({"user_id": "AB1234"}), False),
        (refusal(503, "NetworkException", "away"), False),
        (refusal(429, "NetworkException", "slow"), False),
    ],
)
async def test_a_socket_is_given_up_for_good_only_when_kite_calls_the_session_dead(
    desk: Desk, send: Send, is_dead: bool
) -> None:
    desk.server.script["GET /user/profile"] = send
    assert await desk.broker._socket_refused("upgrade failed (403)") is is_dead
    assert len(desk.lost) == is_dead


async def test_a_session_is_what_kite_says_of_it(desk: Desk) -> None:
    desk.server.script["GET /user/profile"] = success({"user_id": "AB1234"})
    active = await desk.broker.session()
    assert desk.session.login is not None
    assert (active.state, active.since) == (SessionState.ACTIVE, desk.session.login.opened_at)
    for send in (refusal(503, "NetworkException", "away"), refusal(429, "NetworkException", "slow"), answer(200, "")):
        desk.server.script["GET /user/profile"] = send
        assert (await desk.broker.session()).state is SessionState.UNKNOWN
    assert desk.session.login is not None
    desk.server.script["GET /user/profile"] = refusal(403, "TokenException", "Incorrect `access_token`.")
    assert (await desk.broker.session()).state is SessionState.EXPIRED
    assert desk.session.login is None
    assert (await desk.broker.session()).state is SessionState.LOGIN_REQUIRED


async def test_a_dead_token_met_by_another_call_is_left_for_the_session_to_confirm(desk: Desk) -> None:
    desk.server.usual = refusal(403, "TokenException", "Incorrect `access_token`.")
    with pytest.raises(NotAuthenticated):
        await desk.broker.place(request())
    assert desk.session.login is not None


async def test_orders_that_wait_their_turn_are_not_sent_once_the_session_is_found_dead() -> None:
    async with kite_server() as server:
        desk, found_dead = Desk(server, threads=2), asyncio.Event()  # one thread for orders: the others wait for it

        async def dead(writer: asyncio.StreamWriter) -> None:
            await found_dead.wait()
            await refusal(403, "TokenException", "Incorrect `access_token`.")(writer)

        server.usual = dead
        orders = [asyncio.create_task(desk.broker.place(request())) for _ in range(4)]
        async with asyncio.timeout(20):
            while not server.seen:
                await asyncio.sleep(0.01)
        found_dead.set()
        outcomes = await asyncio.gather(*orders, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [NotAuthenticated] * 4
        assert len(server.seen) == 1
        with pytest.raises(NotAuthenticated):  # one that comes later has the broker decide
            await desk.broker.place(request())
        assert len(server.seen) == 2
        await desk.broker.close()


async def test_a_login_is_exchanged_and_stored(desk: Desk) -> None:
    desk.session.login = None
    desk.server.script["POST /session/token"] = success(
        {"access_token": "fresh", "user_id": "AB1234", "login_time": "2026-11-20 08:00:00"}
    )
    opened = await desk.broker.open_session("request-token")
    assert (opened.state, opened.since) == (SessionState.ACTIVE, NOW)
    assert desk.session.login is not None
    assert (desk.session.login.token, desk.session.login.user_id) == ("fresh", "AB1234")
    (seen,) = desk.server.seen
    assert "authorization" not in seen.headers
    assert len(seen.form["checksum"]) == 64


@pytest.mark.parametrize("error_type", ["TokenException", "InputException"])
async def test_a_refused_login_is_not_authenticated(desk: Desk, error_type: str) -> None:
    desk.server.usual = refusal(403, error_type, "Token is invalid or has expired.")
    with pytest.raises(NotAuthenticated, match="expired"):
        await desk.broker.open_session("request-token")
    with pytest.raises(NotAuthenticated, match="empty"):
        await desk.broker.open_session("")


async def test_a_session_store_that_is_away_means_nothing_is_sent(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    async def away(_: object) -> None:
        raise ConnectionRefusedError("the ledger is away")

    monkeypatch.setattr(desk.session, "read", away)
    with pytest.raises(BrokerUnavailable, match="cannot be read"):
        await desk.broker.place(request())
    assert (await desk.broker.session()).state is SessionState.UNKNOWN
    assert desk.server.seen == []


async def test_closing_ends_lookups_that_wait_for_the_book(desk: Desk) -> None:
    desk.server.script["GET /orders"] = hang
    waiting = asyncio.create_task(desk.broker.orders())
    async with asyncio.timeout(20):
        while not desk.server.seen:
            await asyncio.sleep(0.01)
        await desk.broker.close()
        with pytest.raises(BrokerUnavailable):
            await waiting
