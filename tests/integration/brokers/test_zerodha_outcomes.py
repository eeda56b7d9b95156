"""Row by row through a real HTTP server: how a call to Kite ends, and that it was sent once, whatever came back."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from structlog.testing import capture_logs

from alphapanda.brokers.protocol import (
    AmbiguousOutcome,
    BrokerError,
    BrokerRejected,
    BrokerUnavailable,
    NotAuthenticated,
    NotPermitted,
    RateLimited,
)
from alphapanda.brokers.zerodha.client import Kite, KiteClient
from alphapanda.brokers.zerodha.outcomes import ROWS, End
from alphapanda.brokers.zerodha.slices import order_id_of
from alphapanda.live.limits import CallKind
from tests.integration.brokers.kite_server import (
    ACCESS_TOKEN,
    API_KEY,
    API_SECRET,
    ZERODHA,
    KiteServer,
    Send,
    Session,
    Turns,
    answer,
    close,
    dribble,
    half,
    hang,
    kite_server,
    nonsense,
    refusal,
    reset,
    settings_for,
    success,
)

IN_DOUBT = "Order request timed out. Please check the order book and confirm before placing again."
MARGIN = (
    "Insufficient funds. Required margin is 9.84 but available margin is 7.80. Check the orderbook for open orders."
)
TIMEOUT_S = 0.4

_ERRORS: dict[End, type[BrokerError]] = {
    End.REJECTED: BrokerRejected,
    End.NOT_AUTHENTICATED: NotAuthenticated,
    End.NOT_PERMITTED: NotPermitted,
    End.RATE_LIMITED: RateLimited,
    End.AMBIGUOUS: AmbiguousOutcome,
    End.UNAVAILABLE: BrokerUnavailable,
}

CALLS: dict[str, tuple[CallKind, Callable[[Kite], Any]]] = {
    "place": (
        CallKind.PLACE,
        lambda kite: order_id_of(
            kite.place_order("regular", "NSE", "INFY", "BUY", 1, "CNC", "LIMIT", price="1", tag="T")
        ),
    ),
    "modify": (CallKind.MODIFY, lambda kite: order_id_of(kite.modify_order("regular", "1", price="2"))),
    "cancel": (CallKind.CANCEL, lambda kite: order_id_of(kite.cancel_order("regular", "1"))),
    "read": (CallKind.READ, lambda kite: kite.order_history("1")),
}


@dataclass(frozen=True)
class Case:
    """A provocation of one row. `root` replaces the server's address; `says` must be in the error's text."""

    row: str
    name: str
    send: Send | None = None
    root: Callable[["KiteServer"], str] | None = None
    says: str = ""
    only: frozenset[str] = field(default_factory=lambda: frozenset(CALLS))


ORDER_CALLS = frozenset(CALLS) - {"read"}


def _port_without_a_server(_: KiteServer) -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


_full = socket.socket()
_waiting: list[socket.socket] = []


def _server_that_never_accepts(_: KiteServer) -> str:
    """Its backlog is full: a connection is never established."""
    if not _waiting:
        _full.bind(("127.0.0.1", 0))
        _full.listen(0)
        for _each in range(4):
            caller = socket.socket()
            caller.setblocking(False)
            caller.connect_ex(_full.getsockname())
            _waiting.append(caller)
    return f"http://127.0.0.1:{_full.getsockname()[1]}"


CASES = (
    Case("nothing sent", "refused-connection", root=_port_without_a_server),
    Case("nothing sent", "unknown-host", root=lambda _: "http://nowhere.invalid"),
    Case("nothing sent", "no-connection-in-time", root=_server_that_never_accepts),
    Case("nothing sent", "no-tls", root=lambda server: server.url.replace("http", "https")),
    Case("no answer in time", "silence", hang),
    Case("no answer in time", "dribble", dribble),
    Case("no whole answer", "closed", close),
    Case("no whole answer", "reset", reset),
    Case("no whole answer", "half-a-refusal", half),
    Case("no whole answer", "no-http", nonsense),
    Case("accepted", "order-id", success({"order_id": "1914227164488687616"})),
    Case("too many modifications", "as-a-network-error",
         refusal(503, "NetworkException", "Maximum allowed order modifications exceeded."), says="Maximum allowed"),
    Case("too many modifications", "as-429",
         refusal(429, "NetworkException", "Maximum allowed order modifications exceeded.")),
    Case("too many requests", "json", refusal(429, "NetworkException", "Too many requests")),
    Case("too many requests", "from-the-edge", answer(429, "<html>slow down</html>", "text/html")),
    Case("dead token", "403", refusal(403, "TokenException", "Incorrect `api_key` or `access_token`.")),
    Case("dead token", "that-speaks-of-time", refusal(403, "TokenException", "Your session has timed out.")),
    Case("no permission", "address", refusal(403, "PermissionException", "IP is not registered."), says="registered"),
    Case("refusal in doubt", "order", refusal(400, "OrderException", IN_DOUBT), says="order book"),
    Case("refusal in doubt", "input", refusal(400, "InputException", IN_DOUBT)),
    Case("refused", "order", refusal(400, "OrderException", "blocked for trading"), says="blocked for trading"),
    Case("refused", "input", refusal(400, "InputException", "Invalid `quantity`."), says="quantity"),
    Case("refused", "margin", refusal(400, "MarginException", MARGIN), says="Insufficient funds"),
    Case("refused", "holding", refusal(400, "HoldingException", "Insufficient holdings"), says="holdings"),
    Case("refused", "user", refusal(403, "UserException", "Account blocked"), says="blocked"),
    Case("refused", "order-404", refusal(404, "OrderException", "Couldn't find that order")),
    Case("not found", "general", refusal(404, "GeneralException", "Route not found")),
    Case("other error", "general", refusal(400, "GeneralException", "Something went wrong")),
    Case("other error", "data", refusal(400, "DataException", "Gateway")),
    Case("other error", "network", refusal(400, "NetworkException", "OMS is away")),
    Case("other error", "unknown-type", refusal(400, "WeatherException", "rain")),
    Case("other error", "no-type", refusal(400, None, "Something went wrong")),
    Case("other error", "dead-token-by-no-type", refusal(403, None, "Forbidden")),
    Case("client error without JSON", "html-403", answer(403, "<html>firewall</html>", "text/html")),
    Case("client error without JSON", "text-400", answer(400, "no", "text/plain")),
    Case("client error without JSON", "nothing-408", answer(408, "", None)),
    Case("server error", "network", refusal(503, "NetworkException", "OMS is away")),
    Case("server error", "order", refusal(500, "OrderException", "Order failed"), says="Order failed"),
    Case("server error", "html-502", answer(502, "<html>bad gateway</html>", "text/html")),
    Case("server error", "html-504", answer(504, "<html>timeout</html>", "text/html")),
    Case("server error", "success-in-500", answer(500, {"status": "success", "data": {"order_id": "1"}})),
    Case("redirect", "302", answer(302, "", "text/html", Location="/orders")),
    Case("redirect", "307", answer(307, "", "text/html", Location="/orders")),
    Case("redirect", "without-type", answer(302, "", None, Location="/orders")),
    Case("unreadable success", "half-json", answer(200, '{"status": "success", "da')),
    Case("unreadable success", "no-data", answer(200, {"status": "success"})),
    Case("unreadable success", "error-in-200", refusal(200, "OrderException", "refused?")),
    Case("unreadable success", "html", answer(200, "<html>welcome</html>", "text/html")),
    Case("unreadable success", "no-content-type", answer(200, '{"data": {"order_id": "1"}}', None)),
    Case("unreadable success", "no-order-id", success({}), only=ORDER_CALLS),
    Case("unreadable success", "null-order-id", success({"order_id": None}), only=ORDER_CALLS),
    Case("unreadable success", "a-list", success([]), only=ORDER_CALLS),
    Case("anything else", "600", answer(600, {"status": "success", "data": {"order_id": "1"}})),
)  # fmt: skip


@pytest.fixture
async def server() -> AsyncIterator[KiteServer]:
    async with kite_server() as running:
        yield running


def test_every_row_of_the_table_is_provoked_below() -> None:
    assert {case.row for case in CASES} == {row.name for row in ROWS}


@pytest.mark.parametrize(
    ("case", "call"),
    [
        pytest.param(case, call, id=f"{case.row.replace(' ', '_')}-{case.name}-{call}")
        for case in CASES
        for call in CALLS
        if call in case.only
    ],
)
async def test_a_call_ends_as_its_row_says_and_was_sent_once(server: KiteServer, case: Case, call: str) -> None:
    row = next(row for row in ROWS if row.name == case.row)
    end = row.read if call == "read" else row.order
    server.usual = case.send or server.usual
    root = case.root(server) if case.root else server.url
    turns = Turns()
    client = KiteClient(
        ZERODHA, settings_for(root, timeout_s=TIMEOUT_S, order_timeout_s=TIMEOUT_S), Session(), turns
    )  # fmt: skip
    try:
        with capture_logs() as logs:
            error = await _error(client, call)
    finally:
        await client.close()
    assert type(error) is _ERRORS.get(end, type(None))
    assert len(server.seen) == (0 if case.root else 1)
    assert turns.asked == [CALLS[call][0]]
    assert turns.penalties == ([1.0] if end is End.RATE_LIMITED else [])
    if error is not None:
        assert [line["ended"] for line in logs if "ended" in line] == [case.row]
        assert case.says in str(error)
        assert not [secret for secret in (API_KEY, API_SECRET, ACCESS_TOKEN) if secret in f"{error!r} {logs}"]


async def _error(client: KiteClient, call: str) -> BrokerError | None:
    kind, do = CALLS[call]
    try:
        await (client.read(do) if call == "read" else client.order_call(kind, do))
    except BrokerError as error:
        return error
    return None


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), ("600", 600.0), ("1e9", 3600.0), ("nan", 1.0), ("-1", 1.0), ("soon", 1.0)]
)
async def test_the_brokers_own_pause_is_passed_on(server: KiteServer, header: str, seconds: float) -> None:
    server.usual = refusal(429, "NetworkException", "Too many requests", Retry_After=header)
    turns = Turns()
    client = KiteClient(ZERODHA, settings_for(server.url), Session(), turns)
    with pytest.raises(RateLimited) as caught:
        await client.order_call(*CALLS["place"])
    await client.close()
    assert caught.value.retry_after_s == seconds
    assert turns.penalties == [seconds]


async def test_reads_that_are_answered_do_not_shorten_the_pause_of_order_calls(server: KiteServer) -> None:
    server.usual = refusal(429, "NetworkException", "Too many requests", Retry_After="0.01")
    server.script["GET /orders/1"] = success([])
    turns = Turns()
    client = KiteClient(ZERODHA, settings_for(server.url), Session(), turns)
    with pytest.raises(RateLimited):
        await client.order_call(*CALLS["place"])
    await asyncio.sleep(turns.penalties[0])  # as the limiter would have it
    await client.read(CALLS["read"][1])
    with pytest.raises(RateLimited):
        await client.order_call(*CALLS["place"])
    await client.close()
    assert turns.penalties == [1.0, 2.0]


async def test_a_secret_that_the_broker_repeats_is_not_passed_on(server: KiteServer) -> None:
    server.usual = refusal(400, "InputException", f"no such token: {ACCESS_TOKEN}, api_key={API_KEY}")
    client = KiteClient(ZERODHA, settings_for(server.url), Session(), Turns())
    with pytest.raises(BrokerRejected) as caught:
        await client.order_call(*CALLS["place"])
    await client.close()
    assert ACCESS_TOKEN not in str(caught.value)
    assert API_KEY not in str(caught.value)


async def test_a_call_given_up_before_it_was_sent_is_never_sent(server: KiteServer) -> None:
    """The connection comes up only after nobody waits any more."""
    turns = Turns()
    client = KiteClient(
        ZERODHA, settings_for(_server_that_never_accepts(server), order_timeout_s=0.2), Session(), turns
    )  # fmt: skip
    with pytest.raises(BrokerUnavailable):
        await client.order_call(*CALLS["place"])
    await client.close()
    assert not client._live


@pytest.mark.parametrize("kind", ["place", "read"])
async def test_closing_ends_calls_that_are_under_way(server: KiteServer, kind: str) -> None:
    server.usual = hang
    client = KiteClient(ZERODHA, settings_for(server.url, timeout_s=60, order_timeout_s=60), Session(), Turns())
    calling = asyncio.create_task(_error(client, kind))
    async with asyncio.timeout(20):
        while not server.seen:
            await asyncio.sleep(0.01)
        await client.close()
        error = await calling
    assert type(error) is (AmbiguousOutcome if kind == "place" else BrokerUnavailable)
    assert not client._live


async def test_a_cancelled_caller_leaves_no_thread_behind(server: KiteServer) -> None:
    server.usual = hang
    client = KiteClient(ZERODHA, settings_for(server.url, order_timeout_s=60), Session(), Turns())
    calling = asyncio.create_task(_error(client, "place"))
    async with asyncio.timeout(20):
        while not server.seen:
            await asyncio.sleep(0.01)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        while client._live:
            await asyncio.sleep(0.01)
        await client.close()
        await client.close()
    with pytest.raises(BrokerUnavailable, match="closed"):
        await client.order_call(*CALLS["place"])


async def test_hanging_reads_do_not_keep_orders_waiting_nor_entries_the_cancels(server: KiteServer) -> None:
    client = KiteClient(
        ZERODHA, settings_for(server.url, threads=4, timeout_s=60, order_timeout_s=60), Session(), Turns()
    )  # fmt: skip
    server.script = {"GET /orders/1": hang, "POST /orders/regular": hang}
    async with asyncio.timeout(20):
        hanging = [asyncio.create_task(_error(client, "read")) for _ in range(6)]
        hanging += [asyncio.create_task(_error(client, "place")) for _ in range(6)]
        while not {"GET /orders/1", "POST /orders/regular"} <= set(server.calls()):
            await asyncio.sleep(0.01)
        assert await _error(client, "cancel") is None
        for each in hanging:
            each.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        await client.close()


async def test_the_token_is_read_for_each_call(server: KiteServer) -> None:
    session = Session()
    client = KiteClient(ZERODHA, settings_for(server.url), session, Turns())
    await client.order_call(*CALLS["place"])
    assert session.login is not None
    await session.write(ZERODHA, "another-token", "AB1234", at=session.login.opened_at)
    await client.order_call(*CALLS["place"])
    session.login = None
    with pytest.raises(NotAuthenticated):
        await client.order_call(*CALLS["place"])
    await client.close()
    sent = [seen.headers["authorization"] for seen in server.seen]
    assert sent == [f"token {API_KEY}:{ACCESS_TOKEN}", f"token {API_KEY}:another-token"]


async def test_cookies_and_netrc_change_nothing(
    server: KiteServer, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server.usual = answer(200, {"status": "success", "data": {"order_id": "1"}}, Set_Cookie="session=x; Path=/")
    client = KiteClient(ZERODHA, settings_for(server.url), Session(), Turns())
    for _ in range(2):
        await client.order_call(*CALLS["place"])
    await client.close()
    assert {seen.headers["authorization"] for seen in server.seen} == {f"token {API_KEY}:{ACCESS_TOKEN}"}
    assert not [seen for seen in server.seen if "cookie" in seen.headers]
    assert server.connections == 1
