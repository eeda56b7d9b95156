"""One read of a whole book for all who wait for it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Generic, TypeVar

from alphapanda.brokers.protocol import BrokerUnavailable

_T = TypeVar("_T")
_CLOSED = "the adapter was closed before the broker answered"


class Coalesced(Generic[_T]):
    """`get()` gives a reading that began after it was asked for; all who asked before it began share it.

    So the calls it makes are bounded by how long one takes, whatever the number of readers, and nobody is handed what
    was true before an order was sent. A failed reading fails for those who wait for it, and for nobody later.
    """

    def __init__(self, read: Callable[[], Awaitable[_T]]) -> None:
        self._read = read
        self._waiting: list[asyncio.Future[_T]] = []
        self._running: asyncio.Task[None] | None = None

    async def get(self) -> _T:
        answer: asyncio.Future[_T] = asyncio.get_running_loop().create_future()
        self._waiting.append(answer)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._serve())
        return await answer

    async def close(self) -> None:
        """Whoever waits gets BrokerUnavailable."""
        if self._running is not None:
            self._running.cancel()
            with suppress(asyncio.CancelledError):
                await self._running
        _fail(self._waiting, BrokerUnavailable(_CLOSED))

    async def _serve(self) -> None:
        while self._waiting:
            served, self._waiting = self._waiting, []
            if all(each.done() for each in served):  # nobody of them waits any more
                continue
            try:
                reading = await self._read()
            except asyncio.CancelledError:
                _fail(served, BrokerUnavailable(_CLOSED))
                raise
            except Exception as error:
                _fail(served, error)
            else:
                for each in served:
                    if not each.done():
                        each.set_result(reading)


def _fail(waiting: "list[asyncio.Future[_T]]", error: Exception) -> None:
    for each in waiting:
        if not each.done():
            each.set_exception(error)
