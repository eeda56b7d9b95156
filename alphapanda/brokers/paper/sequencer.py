"""One writer per account and process: commands wait in a queue, and all that wait together land as one change.

While one change is being written the next commands gather, so the cost of a commit is shared when orders come fast.
The first try is one statement on the book in memory. Where another process was first, the account is locked, the
book caught up with, the commands run again, and the change lands for certain: nobody retries for ever.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from alphapanda.brokers.paper.book import Book, Draft
from alphapanda.brokers.paper.store import PaperStore
from alphapanda.brokers.protocol import BrokerError, BrokerUnavailable

_T = TypeVar("_T")
_MOST_AT_ONCE = 64
CLOSED = "the paper broker is closed"


@dataclass(slots=True, eq=False)
class _Job:
    """A command, and where its caller waits. `error` and `value` are of the last run; only a landed run counts."""

    command: Callable[[Draft], Any]
    done: "asyncio.Future[Any]"
    value: Any = None
    error: Exception | None = field(default=None)


class Sequencer:
    """Runs commands on one account's book, one after another, and lands what they change."""

    def __init__(self, store: PaperStore) -> None:
        self._store = store
        self._book: Book | None = None
        self._waiting: deque[_Job] = deque()
        self._writer: asyncio.Task[None] | None = None
        self._closed = False
        self._changed_elsewhere: set[str] = set()

    @property
    def book(self) -> Book | None:
        """The book as last known here, for looking only; None before the first command."""
        return self._book

    @property
    def is_closed(self) -> bool:
        return self._closed

    async def submit(self, command: Callable[[Draft], _T]) -> _T:
        """The command's value once what it changed is durable.

        A command that raises must have changed nothing. It may run more than once, each time on a fresh draft.
        Raises what it raised, or BrokerUnavailable (nothing changed), or AmbiguousOutcome (it may have).
        """
        if self._closed:
            raise BrokerUnavailable(CLOSED)
        job = _Job(command, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        if self._writer is None or self._writer.done():
            # A task of its own: a caller that gives up must not take others' orders with it.
            self._writer = asyncio.create_task(self._drain())
        value: _T = await job.done
        return value

    async def refresh(self) -> set[str]:
        """Catch up with other processes; the instruments whose orders changed there since the last call."""
        await self.submit(_confirm)
        changed, self._changed_elsewhere = self._changed_elsewhere, set()
        return changed

    async def close(self) -> None:
        """Refuse new commands and wait for those under way. Safe to call twice."""
        self._closed = True
        if self._writer is not None:
            await asyncio.gather(self._writer, return_exceptions=True)

    async def _drain(self) -> None:
        while self._waiting:
            jobs = [self._waiting.popleft() for _ in range(min(len(self._waiting), _MOST_AT_ONCE))]
            try:
                await self._land(jobs)
            except Exception as error:
                _fail(jobs, error)
            except asyncio.CancelledError:
                _fail([*jobs, *self._waiting], BrokerUnavailable("the paper broker was stopped"))
                raise
            else:
                _deliver(jobs)

    async def _land(self, jobs: list[_Job]) -> None:
        if self._book is None:
            self._book = await self._store.load()
        book = self._book
        draft = _run(jobs, book)
        if draft.changed:
            version = await self._store.write(draft, book.account.version)
            if version is not None:
                book.apply(draft, version)
                return
        elif not _needs_certainty(jobs) or await self._store.is_current(book):
            return
        await self._land_locked(jobs, book)

    async def _land_locked(self, jobs: list[_Job], book: Book) -> None:
        async with self._store.transaction() as connection:
            self._changed_elsewhere |= await self._store.catch_up(connection, book)
            draft = _run(jobs, book)
            version = None
            if draft.changed:
                version = await self._store.write(draft, book.account.version, connection)
        if version is not None:
            book.apply(draft, version)


def _confirm(_draft: Draft) -> None:
    """A command that changes nothing and wants to be certain that the book is current."""


def _needs_certainty(jobs: Iterable[_Job]) -> bool:
    """A refusal must not rest on a book that another process has changed meanwhile."""
    return any(job.error is not None or job.command is _confirm for job in jobs)


def _run(jobs: list[_Job], book: Book) -> Draft:
    """All commands, in order, on one draft. A command that fails by a fault of ours is left out and told so."""
    while True:
        draft = Draft(book)
        broken = None
        for job in jobs:
            job.value, job.error = None, None
            try:
                job.value = job.command(draft)
            except BrokerError as refusal:
                job.error = refusal
            except Exception as error:
                broken = (job, error)
                break
        if broken is None:
            return draft
        job, fault = broken
        jobs.remove(job)
        _fail([job], fault)


def _deliver(jobs: list[_Job]) -> None:
    for job in jobs:
        if not job.done.done():
            if job.error is not None:
                job.done.set_exception(job.error)
            else:
                job.done.set_result(job.value)


def _fail(jobs: Iterable[_Job], error: Exception) -> None:
    for job in jobs:
        if not job.done.done():
            job.done.set_exception(error)
