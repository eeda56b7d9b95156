"""Requests and replies over plain ASGI: replies must be able to go wrong in ways that no framework allows."""

import asyncio
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from alphapanda.kitesim.errors import KiteError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

TRANSPORT = "transport"
"""In `scope["state"]`: the connection itself."""

_LINGER_NOT = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent. `content_type` None leaves the header out."""

    status: int
    body: bytes
    content_type: str | None = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


class Reset(Exception):  # noqa: N818 - it is what happens to a connection
    """Instead of a reply the connection is reset."""


GONE_S = 5.0
"""How long the server library may take to notice that a connection was reset."""


class Request:
    """One HTTP request, read whole. Parameters are the query's and the form's, the form's winning."""

    def __init__(self, scope: Scope, body: bytes, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        self.query = parse_qsl(scope["query_string"].decode(), keep_blank_values=True)
        self.body = body
        self._receive = receive

    @classmethod
    async def read(cls, scope: Scope, receive: Receive) -> "Request | None":
        """None where the client has gone before it had said all."""
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if not message.get("more_body", False):
                return cls(scope, body, receive)

    @property
    def params(self) -> dict[str, str]:
        form = dict(self.query)
        if self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            form |= parse_qsl(self.body.decode(), keep_blank_values=True)
        return form

    def all(self, name: str) -> list[str]:
        """Every value of a query parameter that is given more than once."""
        return [value for key, value in self.query if key == name]

    def document(self) -> Any:
        """The JSON body; an empty one is an empty object. Raises KiteError."""
        if not self.body:
            return {}
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise KiteError("InputException", f"The body is no JSON: {error}") from error

    async def hold(self, seconds: float) -> None:
        """Keep the client waiting until it gives up, `seconds` at most."""
        try:
            async with asyncio.timeout(seconds):
                while (await self._receive())["type"] != "http.disconnect":
                    pass
        except TimeoutError:
            return


def success(data: Any) -> Reply:
    return Reply(200, _encode({"status": "success", "data": data}))


def failure(error: KiteError) -> Reply:
    body = {"status": "error", "message": error.message, "data": None, "error_type": error.error_type}
    return Reply(error.status, _encode(body))


def plain_json(document: Any, status: int = 200) -> Reply:
    """For the control plane, which is not Kite's."""
    return Reply(status, _encode(document))


async def send_reply(reply: Reply, send: Send) -> None:
    headers = dict(reply.headers)
    if reply.content_type is not None:
        headers["content-type"] = reply.content_type
    headers["content-length"] = str(len(reply.body))
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": reply.status, "headers": encoded})
    await send({"type": "http.response.body", "body": reply.body})


def reset(scope: Scope) -> None:
    """Cut the connection as a crashed peer does: the client sees `Connection reset by peer`."""
    transport: asyncio.Transport = scope["state"][TRANSPORT]
    if transport.is_closing():
        return
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    transport.abort()


def _encode(document: Any) -> bytes:
    return json.dumps(document).encode()
