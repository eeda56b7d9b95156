"""The WebSocket: ticks in frames, order updates as text, a heartbeat each second.

Ticks that gather while a frame is being written go out as one packet per instrument, the newest; order updates are
queued one by one.
"""

import asyncio
import json
from collections import deque
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs

from alphapanda.kitesim import frames
from alphapanda.kitesim.account import Account
from alphapanda.kitesim.book import Event
from alphapanda.kitesim.faults import Fault
from alphapanda.kitesim.http import Receive, Scope, Send, reset
from alphapanda.kitesim.market import Quote
from alphapanda.kitesim.mischief import Mischief
from alphapanda.kitesim.rows import update_row

HEARTBEAT_S = 1.0
_MOST_INSTRUMENTS = 3000


class Ticker:
    """One connection."""

    def __init__(self, account: Account, scope: Scope, *, mute: bool) -> None:
        self._account = account
        self._scope = scope
        self.mute = mute
        self.modes: dict[int, str] = {}
        self._texts: deque[str] = deque()
        self._ticks: dict[int, Quote] = {}
        self._wake = asyncio.Event()

    def tell(self, text: str) -> None:
        if not self.mute:
            self._texts.append(text)
            self._wake.set()

    def tick(self, quote: Quote) -> None:
        if not self.mute and quote.instrument.token in self.modes:
            self._ticks[quote.instrument.token] = quote
            self._wake.set()

    def drop(self) -> None:
        """As a broken line does: no closing handshake."""
        reset(self._scope)

    def hear(self, text: str) -> None:
        """A client's message; what makes no sense is ignored, as Kite does."""
        with suppress(ValueError, TypeError, KeyError, IndexError):
            message = json.loads(text)
            self._obey(message["a"], message["v"])

    async def send_all(self, send: Send) -> None:
        """Until the connection ends: what is due, and a heartbeat when a second has passed without anything."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._wake.wait()
            self._wake.clear()
            if self.mute:
                self._texts.clear()
                self._ticks.clear()
                continue
            if not self._texts and not self._ticks:
                await send({"type": "websocket.send", "bytes": frames.HEARTBEAT})
            while self._texts:
                await send({"type": "websocket.send", "text": self._texts.popleft()})
            ticks, self._ticks = self._ticks, {}
            due = [(quote, self.modes[token]) for token, quote in ticks.items() if token in self.modes]
            if due:
                await send({"type": "websocket.send", "bytes": frames.frame(due)})

    def _obey(self, action: str, value: Any) -> None:
        match action:
            case "subscribe":
                for token in value[: _MOST_INSTRUMENTS - len(self.modes)]:
                    self.modes.setdefault(token, "quote")
                    self._send_cached(token)
            case "unsubscribe":
                for token in value:
                    self.modes.pop(token, None)
            case "mode":
                mode, tokens = value
                if mode in frames.MODES:
                    for token in tokens:
                        self.modes[token] = mode
                        self._send_cached(token)

    def _send_cached(self, token: int) -> None:
        """The last tick, however old it is."""
        instrument = self._account.exchange.instruments.by_token(token)
        if instrument is not None:
            self.tick(self._account.exchange.market.quote(instrument))


class Tickers:
    """All connections of the account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._open: set[Ticker] = set()
        self._mischief = Mischief(
            account.faults, (Fault.UPDATE_LOST, Fault.UPDATE_DUPLICATED, Fault.UPDATE_REORDERED), self._tell
        )
        self.updates_sent = 0

    @property
    def connected(self) -> int:
        return len(self._open)

    def publish(self, event: Event) -> None:
        self._mischief.pass_on(event)

    def tick(self, quote: Quote) -> None:
        for ticker in self._open:
            ticker.tick(quote)

    def mute(self, *, muted: bool) -> None:
        for ticker in self._open:
            ticker.mute = muted

    def drop(self) -> int:
        """Cut every connection. Returns how many there were."""
        dropped = list(self._open)
        for ticker in dropped:
            ticker.drop()
        return len(dropped)

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection from its handshake to its end."""
        await receive()  # websocket.connect
        refusal = self._refusal(scope)
        if refusal is not None:
            await _refuse(send, refusal)
            return
        mute = self._account.faults.event(Fault.SOCKET_MUTE) is not None
        ticker = Ticker(self._account, scope, mute=mute)
        await send({"type": "websocket.accept"})
        self._open.add(ticker)
        sending = asyncio.create_task(ticker.send_all(send))
        try:
            while (message := await receive())["type"] == "websocket.receive":
                text = message.get("text") or (message.get("bytes") or b"").decode(errors="replace")
                ticker.hear(text)
        finally:
            self._open.discard(ticker)
            sending.cancel()
            # A connection that has gone makes sending fail in whatever way the server library chooses.
            await asyncio.gather(sending, return_exceptions=True)

    def _refusal(self, scope: Scope) -> int | None:
        faults = self._account.faults
        if faults.event(Fault.SOCKET_FORBIDDEN) is not None:
            return 403
        if faults.event(Fault.SOCKET_BUSY) is not None:
            return 429
        given = parse_qs(scope["query_string"].decode())
        api_key, token = (given.get(name, [""])[0] for name in ("api_key", "access_token"))
        if not self._account.sessions.is_alive(api_key, token):
            return 403
        return 429 if len(self._open) >= self._account.settings.sockets else None

    def _tell(self, event: Event) -> None:
        text = json.dumps({"type": "order", "id": "", "data": update_row(event, self._account.settings.user_id)})
        for ticker in self._open:
            ticker.tell(text)
            self.updates_sent += 1


async def _refuse(send: Send, status: int) -> None:
    await send({"type": "websocket.http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "websocket.http.response.body", "body": b""})
