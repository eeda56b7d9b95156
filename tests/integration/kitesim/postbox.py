"""An address that keeps what is posted to it."""

import asyncio
import json
from typing import Any


class Postbox:
    """`async with Postbox() as box:` listens on `box.url`; the bodies gather in `received`."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []

    async def __aenter__(self) -> "Postbox":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/postback"
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(next(line for line in head.split("\r\n") if line.startswith("content-length:")).split()[1])
                self.received.append(json.loads(await reader.readexactly(length)))
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
