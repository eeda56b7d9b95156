"""A door in front of a server: shut, nobody listens there; open, all bytes pass. An outage that can be ended."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

Dial = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class Gate:
    def __init__(self, dial: Dial) -> None:
        self._dial = dial
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()
        self.port = 0

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for task in list(self._passing):
            task.cancel()
        await asyncio.gather(*self._passing, return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        try:
            far_reader, far_writer = await self._dial()
            try:
                async with asyncio.TaskGroup() as both:
                    both.create_task(_pump(reader, far_writer))
                    both.create_task(_pump(far_reader, writer))
            finally:
                far_writer.close()
        except* (OSError, asyncio.CancelledError):
            pass  # either end went away, or the gate was shut
        finally:
            writer.close()
            self._passing.discard(task)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    raise ConnectionResetError


@contextlib.asynccontextmanager
async def shut_gate(dial: Dial) -> AsyncIterator[Gate]:
    """A gate with a port of its own, shut to begin with."""
    gate = Gate(dial)
    await gate.open()
    await gate.shut()
    try:
        yield gate
    finally:
        await gate.shut()
