"""A local HTTP server that answers as it is told, byte by byte, and remembers every request it got."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

from alphapanda.domain.ids import Broker
from alphapanda.live.limits import CallKind
from alphapanda.settings import ZerodhaSettings

ZERODHA = Broker("zerodha")
API_KEY, API_SECRET, ACCESS_TOKEN = "key-of-the-tests", "secret-of-the-tests", "token-of-the-tests"

Send = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True)
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    form: dict[str, str]


def answer(status: int = 200, body: Any = None, content_type: str | None = "application/json", **headers: str) -> Send:
    """A whole reply; `body` as JSON unless it is text."""
    text = body if isinstance(body, str) else json.dumps(body)

    async def send(writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(text.encode())}"]
        lines += [f"Content-Type: {content_type}"] if content_type else []
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        writer.write(("\r\n".join(lines) + "\r\n\r\n" + text).encode())
        await writer.drain()

    return send


def success(data: Any) -> Send:
    return answer(200, {"status": "success", "data": data})


def refusal(status: int, error_type: str | None, message: str, **headers: str) -> Send:
    body = {"status": "error", "message": message, "data": None}
    return answer(status, body if error_type is None else {**body, "error_type": error_type}, **headers)


async def hang(_: asyncio.StreamWriter) -> None:
    """The request is read, and nothing ever comes back."""
    await asyncio.Event().wait()


async def close(_: asyncio.StreamWriter) -> None:
    """The request is read, and the connection is closed."""


async def reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def half(writer: asyncio.StreamWriter) -> None:
    """A refusal by its head, whose body breaks off."""
    writer.write(b'HTTP/1.1 400 X\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"status": "err')
    await writer.drain()


async def dribble(writer: asyncio.StreamWriter) -> None:
    """A byte now and then: no single wait is long, the answer never ends."""
    writer.write(b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.02)


async def nonsense(writer: asyncio.StreamWriter) -> None:
    writer.write(b"this is no HTTP\r\n\r\n")
    await writer.drain()


@dataclass
class KiteServer:
    """`script`: answers by `METHOD /path`, used again and again; `usual` for all others."""

    port: int = 0
    usual: Send = field(default_factory=lambda: success({"order_id": "1"}))
    script: dict[str, Send] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def calls(self) -> list[str]:
        return [f"{each.method} {each.path}" for each in self.seen]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while (asked := await _request(reader)) is not None:
                self.seen.append(asked)
                send = self.script.get(f"{asked.method} {asked.path}", self.usual)
                await send(writer)
                if send in (close, reset, half, nonsense):
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has gone
        finally:
            writer.close()


async def _request(reader: asyncio.StreamReader) -> Seen | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode().rstrip().split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Seen(method, target.split("?")[0], headers, dict(parse_qsl(body.decode())))


@asynccontextmanager
async def kite_server() -> AsyncIterator[KiteServer]:
    server = KiteServer()
    serving: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(server.serve(reader, writer))
        serving.add(task)
        task.add_done_callback(serving.discard)

    listening = await asyncio.start_server(connected, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for task in tuple(serving):
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)


@dataclass(frozen=True)
class Login:
    token: str
    opened_at: datetime
    user_id: str = "AB1234"


@dataclass
class Session:
    """The stored session of one account."""

    login: Login | None = field(default_factory=lambda: Login(ACCESS_TOKEN, datetime(2026, 11, 20, 3, tzinfo=UTC)))
    reads: int = 0

    async def read(self, broker: Broker) -> Login | None:
        assert broker == ZERODHA
        self.reads += 1
        return self.login

    async def write(self, broker: Broker, token: str, user_id: str, *, at: datetime) -> None:
        assert broker == ZERODHA
        self.login = Login(token, at, user_id)

    async def forget(self, broker: Broker, *, opened_at: datetime) -> None:
        assert broker == ZERODHA
        if self.login is not None and self.login.opened_at == opened_at:
            self.login = None


@dataclass
class Turns:
    """Every call has its turn at once; which ones asked is remembered."""

    asked: list[CallKind] = field(default_factory=list)
    penalties: list[float] = field(default_factory=list)
    learned: list[int] = field(default_factory=list)

    async def acquire(self, kind: CallKind, *, within_s: float) -> None:
        assert within_s > 0
        self.asked.append(kind)

    async def penalise(self, retry_after_s: float) -> None:
        self.penalties.append(retry_after_s)

    def learn_orders_today(self, calls: int) -> None:
        self.learned.append(calls)


def settings_for(root: str, **changes: Any) -> ZerodhaSettings:
    chosen: dict[str, Any] = {"api_key": API_KEY, "api_secret": API_SECRET, "api_root": root}
    return ZerodhaSettings(**{**chosen, **changes})
