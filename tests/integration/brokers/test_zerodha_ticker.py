"""Kite's own ticker against a real WebSocket server: what is heard, dropped, silent, refused, and never stopped."""

import asyncio
import json
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import certifi
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from alphapanda.brokers.zerodha import connection
from alphapanda.brokers.zerodha.ticker import TickerState, TickerTiming
from alphapanda.brokers.zerodha.updates import OrderUpdates
from alphapanda.domain.execution import BookStatus, OrderReport
from tests.integration.brokers.kite_server import (
    ACCESS_TOKEN,
    API_KEY,
    ZERODHA,
    Login,
    Session,
    settings_for,
)
from tests.unit.brokers.zerodha.kite_rows import OURS, order_row

PATIENCE_S = 20.0
LONG_S = 600.0
"""What must not be the cause of anything in a test lasts longer than the test."""

QUICK = TickerTiming(
    stale_after_s=LONG_S,
    open_within_s=LONG_S,
    first_backoff_s=0.02,
    longest_backoff_s=0.1,
    token_poll_s=0.02,
    refused_s=LONG_S,
)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


@dataclass
class Line:
    """The far end: who came with which token, and what it does with them."""

    refuse_with: HTTPStatus | None = None
    heartbeat: bool = True
    tokens: list[str] = field(default_factory=list)
    open: list[ServerConnection] = field(default_factory=list)
    server: Server | None = None

    @property
    def port(self) -> int:
        assert self.server is not None
        port: int = next(iter(self.server.sockets)).getsockname()[1]
        return port

    def knock(self, connection: ServerConnection, request: Request) -> Response | None:
        query = parse_qs(urlsplit(request.path).query)
        assert query["api_key"] == [API_KEY]
        self.tokens += query["access_token"]
        return None if self.refuse_with is None else connection.respond(self.refuse_with, "no\n")

    async def talk(self, connection: ServerConnection) -> None:
        self.open.append(connection)
        with suppress(ConnectionClosed):
            while self.heartbeat:
                await connection.send(b"\0")
                await asyncio.sleep(0.02)
            await connection.wait_closed()
        self.open.remove(connection)

    async def update(self, row: dict[str, Any]) -> None:
        for each in self.open:
            await each.send(json.dumps({"type": "order", "data": row}))

    def cut(self) -> None:
        for each in self.open:
            each.transport.abort()


@asynccontextmanager
async def listening(line: Line, port: int = 0, context: ssl.SSLContext | None = None) -> AsyncIterator[Line]:
    async with serve(
        line.talk, "127.0.0.1", port, process_request=line.knock, ssl=context, close_timeout=0.1
    ) as line.server:  # fmt: skip
        yield line


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    async with listening(Line()) as running:
        yield running


@dataclass
class Heard:
    updates: list[OrderReport] = field(default_factory=list)
    connections: int = 0
    refusals: list[str] = field(default_factory=list)
    fail: bool = False
    session_is_dead: bool = True

    async def update(self, report: OrderReport) -> None:
        self.updates.append(report)
        if self.fail:
            raise RuntimeError("the receiver has a bug")

    async def connected(self) -> None:
        self.connections += 1
        if self.fail:
            raise RuntimeError("the book cannot be read")

    async def refused(self, detail: str) -> bool:
        self.refusals.append(detail)
        return self.session_is_dead


@asynccontextmanager
async def updates(
    root: str, heard: Heard, session: Session | None = None, timing: TickerTiming = QUICK
) -> AsyncIterator[OrderUpdates]:
    made = OrderUpdates(
        ZERODHA, settings_for("http://127.0.0.1", ticker_root=root), session or Session(),
        lambda: datetime.now(UTC), timing,
        on_update=heard.update, on_reconnect=heard.connected, on_refused=heard.refused,
    )  # fmt: skip
    running = asyncio.create_task(made.run())
    try:
        yield made
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        assert made.ticker.state is TickerState.STOPPED


def ws(line: Line) -> str:
    return f"ws://127.0.0.1:{line.port}"


def reactor_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "kite-reactor"]


async def test_an_order_update_arrives_as_a_report(line: Line) -> None:
    heard = Heard()
    async with updates(ws(line), heard):
        await until(lambda: heard.connections == 1)
        await line.update(order_row("7", status="COMPLETE", filled_quantity=10, average_price=1500.05))
        await until(lambda: bool(heard.updates))
    (report,) = heard.updates
    assert (report.broker_order_id, report.tag, report.status) == ("7", OURS, BookStatus.COMPLETE)
    assert line.tokens == [ACCESS_TOKEN]
    await until(lambda: not line.open)


async def test_frames_that_mean_nothing_here_and_receivers_that_fail_end_nothing(line: Line) -> None:
    heard = Heard(fail=True)
    async with updates(ws(line), heard) as made:
        await until(lambda: bool(line.open))
        for text in ("{", "{}", '{"type": "error", "data": "x"}', '{"type": "order", "data": {"order_id": "1"}}'):
            await line.open[0].send(text)
        await line.open[0].send(b"\0\1\0\10" + b"\0" * 8)
        for order_id in ("1", "2"):
            await line.update(order_row(order_id))
            await until(lambda expected=order_id: any(r.broker_order_id == expected for r in heard.updates))  # type: ignore[misc]
        assert made.ticker.state is TickerState.OPEN
    assert (heard.connections, len(line.tokens)) == (1, 1)


async def test_a_dropped_line_is_connected_again_and_the_book_is_read_again(line: Line) -> None:
    heard = Heard()
    async with updates(ws(line), heard):
        for times in (1, 2, 3):
            await until(lambda expected=times: heard.connections == expected and len(line.open) == 1)  # type: ignore[misc]
            if times == 2:
                await line.open[0].close()  # by the book
            else:
                line.cut()
        await until(lambda: heard.connections == 4)
        await line.update(order_row("7"))
        await until(lambda: bool(heard.updates))
    assert heard.refusals == []


async def test_a_stop_that_comes_while_a_connection_is_given_up_is_not_lost(line: Line) -> None:
    ending, may_end = asyncio.Event(), asyncio.Event()

    class Slow(Heard):
        async def connected(self) -> None:
            await super().connected()
            try:
                await asyncio.Event().wait()
            finally:  # as a database driver does with a query under way
                ending.set()
                await may_end.wait()

    made = OrderUpdates(
        ZERODHA, settings_for("http://127.0.0.1", ticker_root=ws(line)), Session(), lambda: datetime.now(UTC), QUICK,
        on_update=Heard().update, on_reconnect=(heard := Slow()).connected, on_refused=heard.refused,
    )  # fmt: skip
    running = asyncio.create_task(made.run())
    await until(lambda: heard.connections == 1)
    line.cut()
    await ending.wait()
    running.cancel()
    await asyncio.sleep(0)  # the cancel arrives
    may_end.set()
    done, _ = await asyncio.wait({running}, timeout=PATIENCE_S)
    assert done


async def test_a_silent_line_is_replaced(line: Line) -> None:
    line.heartbeat = False
    heard = Heard()
    quickly_stale = TickerTiming(
        stale_after_s=0.2, open_within_s=LONG_S, first_backoff_s=0.02, longest_backoff_s=0.05, token_poll_s=LONG_S
    )
    async with updates(ws(line), heard, timing=quickly_stale):
        await until(lambda: heard.connections >= 2)
        line.heartbeat = True
        await until(lambda: heard.connections >= 3)
        await until(lambda: len(line.open) == 1)
        await line.update(order_row("7"))
        await until(lambda: bool(heard.updates))


async def test_a_line_that_never_opens_is_replaced() -> None:
    """TCP is accepted, and the upgrade is never answered."""
    tried = 0

    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tried
        tried += 1
        await reader.read()
        writer.close()

    server = await asyncio.start_server(ignore, "127.0.0.1", 0)
    impatient = TickerTiming(
        stale_after_s=LONG_S, open_within_s=0.1, first_backoff_s=0.02, longest_backoff_s=0.05, token_poll_s=LONG_S
    )
    heard = Heard()
    async with updates(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", heard, timing=impatient):
        await until(lambda: tried >= 2)
    assert heard.connections == 0
    server.close()
    await server.wait_closed()


async def test_a_refused_session_is_told_once_and_not_tried_again_until_a_login(line: Line) -> None:
    line.refuse_with = HTTPStatus.FORBIDDEN
    session, heard = Session(), Heard()
    async with updates(ws(line), heard, session) as made:
        await until(lambda: bool(heard.refusals))
        read = session.reads
        await until(lambda: session.reads > read + 5)  # it looks for a login, and only for that
        assert line.tokens == [ACCESS_TOKEN]
        assert made.ticker.state is TickerState.AUTH_DEAD
        session.login = None
        read = session.reads
        await until(lambda: session.reads > read + 2)
        line.refuse_with = None
        session.login = Login("the-next-token", datetime.now(UTC))
        await until(lambda: heard.connections == 1)
    assert len(heard.refusals) == 1
    assert "403" in heard.refusals[0]
    assert line.tokens == [ACCESS_TOKEN, "the-next-token"]


async def test_a_refused_socket_of_a_living_session_is_tried_again_in_time(line: Line) -> None:
    line.refuse_with = HTTPStatus.FORBIDDEN
    heard = Heard(session_is_dead=False)
    async with updates(ws(line), heard, timing=replace(QUICK, refused_s=0.1)) as made:
        await until(lambda: made.ticker.state is TickerState.REFUSED)
        await until(lambda: len(line.tokens) == 2)
        line.refuse_with = None
        await until(lambda: heard.connections == 1)


async def test_a_login_that_overtook_the_refusal_is_tried_at_once() -> None:
    line = Line()
    session, heard = Session(), Heard()
    assert session.login is not None
    newer = Login("the-next-token", session.login.opened_at + timedelta(hours=1))

    def knock(connection: ServerConnection, request: Request) -> Response | None:
        session.login = newer
        line.refuse_with = None if "the-next-token" in request.path else HTTPStatus.FORBIDDEN
        return Line.knock(line, connection, request)

    async with (
        serve(line.talk, "127.0.0.1", 0, process_request=knock, close_timeout=0.1) as line.server,
        updates(ws(line), heard, session),
    ):
        await until(lambda: heard.connections == 1)
    assert heard.refusals == []
    assert line.tokens == [ACCESS_TOKEN, "the-next-token"]


async def test_a_new_login_moves_the_line_to_its_token(line: Line) -> None:
    session, heard = Session(), Heard()
    async with updates(ws(line), heard, session):
        await until(lambda: heard.connections == 1)
        session.login = Login("the-next-token", datetime.now(UTC))
        await until(lambda: heard.connections == 2)
        await until(lambda: len(line.open) == 1)
    assert line.tokens == [ACCESS_TOKEN, "the-next-token"]


async def test_without_a_session_nothing_is_tried(line: Line) -> None:
    session, heard = Session(login=None), Heard()
    async with updates(ws(line), heard, session) as made:
        await until(lambda: session.reads > 3)
        assert made.ticker.state is TickerState.WAITING_FOR_LOGIN
        assert line.tokens == []
        session.login = Login(ACCESS_TOKEN, datetime.now(UTC))
        await until(lambda: heard.connections == 1)


async def test_a_busy_or_absent_server_is_tried_again(line: Line) -> None:
    heard = Heard()
    line.refuse_with = HTTPStatus.TOO_MANY_REQUESTS
    async with updates(ws(line), heard):
        await until(lambda: len(line.tokens) >= 2)
        port = line.port
        assert line.server is not None
        line.server.close()
        await line.server.wait_closed()
        line.refuse_with = None
        async with listening(line, port):
            await until(lambda: heard.connections == 1)
    assert heard.refusals == []


async def test_the_reactor_is_one_and_never_stops(line: Line) -> None:
    for _ in range(2):
        heard = Heard()
        async with updates(ws(line), heard), updates(ws(line), Heard()):
            await until(lambda: len(line.open) == 2)
        await until(lambda: not line.open)
        assert len(reactor_threads()) == 1
        assert reactor_threads()[0].daemon


async def test_a_server_that_cannot_prove_its_name_learns_no_token(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(self_signed(tmp_path))
    heard = Heard()
    async with listening(Line(), context=context) as line, updates(f"wss://localhost:{line.port}", heard) as made:
        await until(lambda: made.ticker.state is TickerState.BACKING_OFF)
    assert line.tokens == []
    assert heard.connections == 0


async def test_a_server_that_proves_its_name_is_connected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    monkeypatch.setattr(certifi, "where", lambda: str(file))
    connection._trusted.cache_clear()
    heard = Heard()
    try:
        async with listening(Line(), context=context) as line, updates(f"wss://localhost:{line.port}", heard):
            await until(lambda: heard.connections == 1)
    finally:
        connection._trusted.cache_clear()


def self_signed(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return file
