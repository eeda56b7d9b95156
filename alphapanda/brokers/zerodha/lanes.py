"""The bounded threads that calls to Kite block in: reads and order calls apart, with a place kept for the way out."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

from alphapanda.brokers.protocol import BrokerUnavailable

_T = TypeVar("_T")


class Lane:
    """`threads` calls at one time; of these, `kept` are for urgent calls only.

    A place is free again when its thread is, not when its caller stops waiting: what was let in runs at once, and the
    turn it was given in the account's limits is the moment it is sent.
    """

    def __init__(self, name: str, threads: int, *, kept: int = 0) -> None:
        self._name = name
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"kite-{name}")
        self._all = asyncio.Semaphore(threads)
        self._usual = asyncio.Semaphore(max(1, threads - kept))

    @asynccontextmanager
    async def place(self, *, urgent: bool, within_s: float) -> AsyncIterator["Place"]:
        """Raises BrokerUnavailable when no thread is free within that time: nothing is sent late."""
        taken = [self._all] if urgent else [self._usual, self._all]
        held: list[asyncio.Semaphore] = []
        place = Place(self._pool, held)
        try:
            try:
                async with asyncio.timeout(within_s):
                    for semaphore in taken:
                        await semaphore.acquire()
                        held.append(semaphore)
            except TimeoutError:
                raise BrokerUnavailable(f"all {self._name} threads wait for the broker; nothing was sent") from None
            yield place
        finally:
            place.leave_unless_running()

    def shut(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)


class Place:
    def __init__(self, pool: ThreadPoolExecutor, held: list[asyncio.Semaphore]) -> None:
        self._pool = pool
        self._held = held
        self._running = False

    def run(self, work: Callable[[], _T]) -> "asyncio.Future[_T]":
        """Start `work` in the place's thread. To be called once; the place is left when the thread is done."""
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        self._running = True
        future.add_done_callback(lambda _: self._leave())
        return future

    def leave_unless_running(self) -> None:
        if not self._running:
            self._leave()

    def _leave(self) -> None:
        while self._held:
            self._held.pop().release()
