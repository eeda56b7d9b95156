"""What kiteconnect sends its requests through: one try, no redirects, and a record of what truly happened.

kiteconnect throws away the status, the error type and whether anything was sent; `Exchange` keeps them. An exchange
can be given up from another thread at any moment: before the request has left it then never leaves, after that its
connection is shut down, so that no thread waits for an answer nobody wants.

Imports requests: only `client.py` imports this module, when the first call is made.
"""

import math
import socket
import threading
from contextlib import suppress
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from alphapanda.brokers.zerodha.outcomes import Reply
from alphapanda.live.limits.shared import LONGEST_CLOSURE_S

CONNECT_TIMEOUT_S = 3.0


class GivenUp(OSError):  # noqa: N818 - not an error of the network
    """Nobody waits for this call any more, and nothing of it has been sent."""


class Exchange:
    """One request and its answer. Written by the thread that makes the call; `give_up` may come from any other."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self._lock = threading.Lock()
        self._sent = False
        self._given_up = False
        self._socket: socket.socket | None = None
        self._response: requests.Response | None = None

    def about_to_send(self, connected: socket.socket) -> None:
        """Called before each write. Raises GivenUp once given up, so that "nothing sent" stays true."""
        with self._lock:
            if self._given_up:
                raise GivenUp("the call was given up before it was sent")
            self._sent = True
            self._socket = connected

    def give_up(self) -> None:
        with self._lock:
            self._given_up = True
            connected = self._socket
        if connected is not None:
            with suppress(OSError):  # closed already
                # Of the plain socket: TLS's own shutdown would change state under the thread that reads.
                socket.socket.shutdown(connected, socket.SHUT_RDWR)

    def answered(self, response: requests.Response) -> None:
        self._response = response

    def reply(self, *, value: Any = None, failure: str | None = None, reason: str = "") -> Reply:
        """`reason`: in our words, where the answer itself gives none."""
        with self._lock:
            sent = self._sent
        response = self._response
        if response is None:
            return Reply(sent=sent, failure=failure or "NoAnswer")
        # A success is not parsed a second time: the order book may be megabytes.
        body = {} if failure is None and response.ok else _object_of(response)
        return Reply(
            sent=sent,
            status=response.status_code,
            content_type=response.headers.get("content-type", ""),
            error_type=_text(body.get("error_type")) or None,
            message=_text(body.get("message")) or reason,
            retry_after_s=_seconds(response.headers.get("retry-after")),
            failure=failure,
            value=value,
        )


_current = threading.local()


class call_of:  # noqa: N801 - reads as a statement: `with call_of(exchange):`
    """Requests made by this thread inside belong to the exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def __enter__(self) -> None:
        _current.exchange = self._exchange

    def __exit__(self, *_: object) -> None:
        del _current.exchange


class _Watched(HTTPConnection):
    """Tells the exchange right before its request is written; a proxy's CONNECT is not yet the request."""

    _connecting = False

    def connect(self) -> None:
        self._connecting = True
        try:
            super().connect()
        finally:
            self._connecting = False

    def send(self, data: Any) -> None:
        if not self._connecting:
            if self.sock is None:
                self.connect()
            _current.exchange.about_to_send(self.sock)
        super().send(data)


class _WatchedTLS(_Watched, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTLS


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TLSPool}
        return manager


class Wire:
    """Stands where kiteconnect keeps its requests session, and overrules what must not be left to it."""

    def __init__(self, *, connections: int) -> None:
        self._session = requests.Session()
        self._session.auth = _unchanged
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        adapter = _Adapter(max_retries=0, pool_connections=2, pool_maxsize=connections)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, adapter)

    def request(self, method: str, url: str, **asked: Any) -> requests.Response:
        exchange: Exchange = _current.exchange
        asked["allow_redirects"] = False
        asked["timeout"] = (min(CONNECT_TIMEOUT_S, exchange.timeout_s), exchange.timeout_s)
        response = self._session.request(method, url, **asked)
        exchange.answered(response)
        return response

    def close(self) -> None:
        self._session.close()


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """In place of a ~/.netrc, which would replace the Authorization header."""
    return request


def _object_of(response: requests.Response) -> dict[str, Any]:
    if "json" not in response.headers.get("content-type", ""):
        return {}
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) and ("error_type" in body or "message" in body) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _seconds(header: str | None) -> float | None:
    """Retry-After in seconds; its other form, a date, is not worth trusting two clocks for."""
    try:
        seconds = float(header or "")
    except ValueError:
        return None
    return min(max(seconds, 0.0), LONGEST_CLOSURE_S) if math.isfinite(seconds) else None
