"""A socket to Kite that stays up: watched for silence, connected again at our pace, and stopped by a dead session.

kiteconnect's ticker alone would look connected for ever on a silent server, retry a dead token fifty times with the
token it was born with, and could only be stopped together with every other ticker of the process.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import structlog

from alphapanda.brokers.zerodha.connection import Connection, Ended, Event, Opened, OrderUpdate
from alphapanda.brokers.zerodha.needs import AccessToken, Tokens
from alphapanda.domain.ids import Broker

_log = structlog.get_logger(__name__)

_REFUSED = 403


class TickerState(StrEnum):
    """Where the socket stands. AUTH_DEAD is left by a new login only, REFUSED (the session lives) also in time."""

    WAITING_FOR_LOGIN = "WAITING_FOR_LOGIN"
    CONNECTING = "CONNECTING"
    OPEN = "OPEN"
    BACKING_OFF = "BACKING_OFF"
    AUTH_DEAD = "AUTH_DEAD"
    REFUSED = "REFUSED"
    STOPPED = "STOPPED"


@dataclass(frozen=True, slots=True)
class TickerTiming:
    """Seconds. Kite sends a heartbeat every second or two, so `stale_after_s` without any frame means dead."""

    stale_after_s: float = 10.0
    open_within_s: float = 15.0
    first_backoff_s: float = 1.0
    longest_backoff_s: float = 30.0
    token_poll_s: float = 5.0
    refused_s: float = 600.0


class Ticker:
    """One socket for one account. Callbacks are called on the event loop; `on_order_update` must not block.

    `on_open` is called after every (re)connection, beside the socket's work. `on_refused` is called when a session's
    socket was refused with 403, and says whether that session is dead: then nothing is tried again until `tokens` has
    another. The socket of a session that lives is tried again after `refused_s`.
    """

    def __init__(
        self,
        name: Broker,
        api_key: str,
        root: str,
        tokens: Tokens,
        timing: TickerTiming,
        *,
        on_open: Callable[[], Awaitable[None]],
        on_order_update: Callable[[dict[str, Any]], None],
        on_refused: Callable[[str], Awaitable[bool]],
    ) -> None:
        self._name = name
        self._api_key = api_key
        self._root = root
        self._tokens = tokens
        self._timing = timing
        self._on_open = on_open
        self._on_order_update = on_order_update
        self._on_refused = on_refused
        self._delay_s = timing.first_backoff_s
        self.state = TickerState.WAITING_FOR_LOGIN

    async def run(self) -> None:
        """Until cancelled. No failure of the network, of the session or of a callback ends it."""
        refused: AccessToken | None = None
        try:
            while True:
                token = await self._other_than(refused)
                self.state = TickerState.CONNECTING
                ended = await self._live(token)
                if ended.status == _REFUSED:
                    refused = await self._refuse(token, ended)
                elif ended is not _NEW_SESSION:
                    await self._back_off(ended)
        finally:
            self.state = TickerState.STOPPED

    async def _other_than(self, refused: AccessToken | None) -> AccessToken:
        """The stored session, as soon as there is one that was not refused, or was so long enough ago."""
        loop = asyncio.get_running_loop()
        again_at = loop.time() + self._timing.refused_s
        while True:
            token = await self._stored()
            if token is not None and (refused is None or token.opened_at != refused.opened_at):
                return token
            if token is not None and self.state is TickerState.REFUSED and loop.time() >= again_at:
                return token
            if refused is None:
                self.state = TickerState.WAITING_FOR_LOGIN
            await asyncio.sleep(self._timing.token_poll_s)

    async def _stored(self) -> AccessToken | None:
        try:
            return await self._tokens.read(self._name)
        except Exception as error:  # the ledger is away: the same as no session, until it is back
            _log.info("the stored session cannot be read", broker=self._name, error=type(error).__name__)
            return None

    async def _live(self, token: AccessToken) -> Ended:
        """One connection from its opening to its end, whoever ends it."""
        events: asyncio.Queue[Event] = asyncio.Queue()
        connection = Connection(self._api_key, token.token, self._root, events.put_nowait)
        watching = asyncio.create_task(self._watch_session(token, events))
        telling: asyncio.Task[None] | None = None
        opened_at = 0.0
        try:
            await connection.open()
            while True:
                event = await self._next(events)
                if isinstance(event, Ended):
                    return event
                if isinstance(event, Opened):
                    self.state = TickerState.OPEN
                    opened_at = asyncio.get_running_loop().time()
                    telling = asyncio.create_task(self._tell_open())
                elif isinstance(event, OrderUpdate):
                    self._take(event.row)
        finally:
            connection.drop()
            self._settle(opened_at)
            tasks = [task for task in (watching, telling) if task is not None]
            for task in tasks:
                task.cancel()
            # They may take a moment to end; a cancel of our own that comes meanwhile must not be swallowed with theirs.
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _next(self, events: "asyncio.Queue[Event]") -> Event:
        """The next event, or the end of a socket that has gone silent."""
        is_open = self.state is TickerState.OPEN
        patience_s = self._timing.stale_after_s if is_open else self._timing.open_within_s
        try:
            async with asyncio.timeout(patience_s):
                return await events.get()
        except TimeoutError:
            if not events.empty():  # it was this process that was away, not the server
                return events.get_nowait()
            return Ended(f"nothing heard for {patience_s:g} s" if is_open else "did not open in time")

    async def _watch_session(self, token: AccessToken, events: "asyncio.Queue[Event]") -> None:
        """A login elsewhere in the desk makes this socket's token the old one."""
        while True:
            await asyncio.sleep(self._timing.token_poll_s)
            stored = await self._stored()
            if stored is not None and stored.opened_at != token.opened_at:
                events.put_nowait(_NEW_SESSION)
                return

    async def _tell_open(self) -> None:
        try:
            await self._on_open()
        except Exception as error:
            _log.warning("after a connection the book could not be read", broker=self._name, error=_named(error))

    def _take(self, row: dict[str, Any]) -> None:
        try:
            self._on_order_update(row)
        except Exception as error:
            _log.warning("an order update was not taken; the book has it", broker=self._name, error=_named(error))

    async def _refuse(self, token: AccessToken, ended: Ended) -> AccessToken | None:
        """The session not to be tried now; None where a login overtook the refusal."""
        stored = await self._stored()
        if stored is not None and stored.opened_at != token.opened_at:
            return None
        self.state = TickerState.AUTH_DEAD
        _log.warning("the socket was refused", broker=self._name, detail=ended.detail)
        try:
            if not await self._on_refused(ended.detail):
                self.state = TickerState.REFUSED
        except Exception as error:
            _log.warning("the lost session could not be told", broker=self._name, error=_named(error))
        return token

    def _settle(self, opened_at: float) -> None:
        """Only a connection that held begins again with the shortest pause: one that is cut at once is no success."""
        if opened_at and asyncio.get_running_loop().time() - opened_at >= self._timing.stale_after_s:
            self._delay_s = self._timing.first_backoff_s

    async def _back_off(self, ended: Ended) -> None:
        self.state = TickerState.BACKING_OFF
        _log.info("the socket ended", broker=self._name, detail=ended.detail, again_in_s=self._delay_s)
        await asyncio.sleep(self._delay_s)
        self._delay_s = min(self._delay_s * 2, self._timing.longest_backoff_s)


_NEW_SESSION = Ended("another session was opened")


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
