"""How large a body may be."""

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 64 * 1024
"""Bytes; a signal with all the metadata it may have takes a third."""


class BodyLimitMiddleware:
    """Refuses a body by its announced length, or while it arrives: 413."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        received = 0

        async def counting() -> Message:
            nonlocal received
            if announced.isdigit() and int(announced) > LARGEST_BODY:
                raise HTTPException(413)
            message = await receive()
            received += len(message.get("body", b""))
            if received > LARGEST_BODY:
                raise HTTPException(413)
            return message

        await self._app(scope, counting, send)
