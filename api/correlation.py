"""The correlation id of a request: taken from the caller or made here, echoed, bound to every log line it causes."""

import re
import time
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "X-Correlation-ID"
SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:~-]{0,99}")
"""What is taken from outside: it ends up in logs, workflow histories and the ledger."""

_log = structlog.get_logger("alphapanda.api")


def correlation_id_of(scope: Scope) -> str:
    found: str = scope["state"]["correlation_id"]
    return found


class CorrelationMiddleware:
    """Outermost, so that whatever answers below carries the id. Also writes the one line per request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        correlation_id = given if SAFE.fullmatch(given) else uuid4().hex
        scope.setdefault("state", {})["correlation_id"] = correlation_id
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                MutableHeaders(scope=message)[HEADER] = correlation_id
            await send(message)

        began = time.perf_counter()
        with structlog.contextvars.bound_contextvars(correlation_id=correlation_id):
            try:
                await self._app(scope, receive, send_with_id)
            finally:
                took = round((time.perf_counter() - began) * 1000, 1)
                # The path only: a query string may hold what somebody should not have put there.
                _log.info("http_request", method=scope["method"], path=scope["path"], status=status, took_ms=took)
