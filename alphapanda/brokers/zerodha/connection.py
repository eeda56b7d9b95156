"""One WebSocket connection to Kite, from its opening to its one end; it never reconnects by itself.

kiteconnect's ticker runs on the reactor's thread. Its callbacks do nothing here but hand an event to the event loop:
an exception or a delay in them would close the socket.
"""

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from alphapanda.brokers.zerodha.reactor import running_reactor

_UPGRADE_REFUSED = re.compile(r"upgrade failed \((\d{3})")
_CONNECT_TIMEOUT_S = 10
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Opened:
    pass


@dataclass(frozen=True, slots=True)
class Frame:
    """Whatever came: ticks, a heartbeat of one byte, a text."""

    payload: bytes
    is_binary: bool


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    row: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ended:
    """The last event of a connection. `status` is HTTP's where the upgrade was refused."""

    detail: str
    status: int | None = None


Event = Opened | Frame | OrderUpdate | Ended


class Connection:
    """`deliver` is called on the event loop, never after `drop()`."""

    def __init__(self, api_key: str, access_token: str, root: str, deliver: Callable[[Event], None]) -> None:
        self._target = (api_key, access_token, root)
        self._deliver = deliver
        self._loop = asyncio.get_running_loop()
        self._reactor: Any = None
        self._connector: Any = None
        self._dropped = False
        self._said = Ended("the connection could not be made")

    async def open(self) -> None:
        """Start connecting; what comes of it is told by events."""
        self._reactor = await asyncio.to_thread(running_reactor)
        if not self._dropped:
            self._reactor.callFromThread(self._connect)

    def drop(self) -> None:
        """Close at once, without a handshake a dead peer would not answer. Safe to call at any time, twice too."""
        self._dropped = True
        if self._reactor is not None:
            self._reactor.callFromThread(self._disconnect)

    # On the reactor's thread.

    def _connect(self) -> None:
        if self._dropped:
            return
        from autobahn.twisted.websocket import connectWS  # type: ignore[import-untyped]  # noqa: PLC0415
        from kiteconnect import KiteTicker  # type: ignore[import-untyped]  # noqa: PLC0415

        api_key, access_token, root = self._target
        ticker = KiteTicker(api_key, access_token, root=root)
        ticker.on_open = lambda _: self._tell(Opened())
        ticker.on_message = lambda _, payload, is_binary: self._tell(Frame(payload, is_binary))
        ticker.on_order_update = lambda _, row: self._tell(OrderUpdate(row))
        ticker.on_close = lambda _ws, _code, reason: self._closing(reason)
        # As its connect() does, but for two things: its TLS context verifies no certificate, and it keeps no connector
        # to disconnect by.
        ticker._create_connection(
            ticker.socket_url, useragent=ticker._user_agent(), proxy=None, headers={"X-Kite-Version": "3"}
        )
        # Called once when a connection has failed or ended. (It connects again, whatever `reconnect` says.)
        ticker.factory.retry = lambda _connector=None: self._tell(self._said)
        context = _verifying(ticker.factory.host) if ticker.factory.isSecure else None
        self._connector = connectWS(ticker.factory, contextFactory=context, timeout=_CONNECT_TIMEOUT_S)

    def _closing(self, reason: object) -> None:
        text = str(reason)
        refused = _UPGRADE_REFUSED.search(text)
        self._said = Ended(text[:200], int(refused[1]) if refused else None)

    def _disconnect(self) -> None:
        if self._connector is None or self._connector.state == "disconnected":
            return
        if self._connector.state == "connected":
            self._connector.transport.abortConnection()
        else:
            self._connector.disconnect()

    def _tell(self, event: Event) -> None:
        with suppress(RuntimeError):  # the event loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._arrived, event)

    # On the event loop.

    def _arrived(self, event: Event) -> None:
        if not self._dropped:
            self._deliver(event)


def _verifying(host: str) -> Any:
    """A TLS context that trusts whom the REST side trusts, and for this host only: the token is in the URL."""
    from twisted.internet.ssl import optionsForClientTLS  # noqa: PLC0415

    return optionsForClientTLS(host, trustRoot=_trusted())


@cache
def _trusted() -> Any:
    import certifi  # noqa: PLC0415
    from twisted.internet.ssl import Certificate, trustRootFromCertificates  # noqa: PLC0415

    blocks = _PEM.findall(Path(certifi.where()).read_text(encoding="ascii", errors="ignore"))
    return trustRootFromCertificates(  # type: ignore[no-untyped-call]
        [Certificate.loadPEM(block) for block in blocks]
    )
