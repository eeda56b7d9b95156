"""Who may call: the holder of the admin token, everywhere but on the public paths."""

import hmac
from collections.abc import Iterable
from http import HTTPStatus

from fastapi import Request
from fastapi.security import HTTPBearer
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.correlation import correlation_id_of
from api.problems import problem

ADMIN = "admin"
"""The actor on whose behalf the token's holder acts; events and audits name it."""

bearer_scheme = HTTPBearer(
    scheme_name="bearer", description="The admin token, as `alphapanda up` prints it.", auto_error=False
)
"""For OpenAPI only: the middleware below decides, also on paths that do not exist."""


class BearerAuthMiddleware:
    def __init__(self, app: ASGIApp, *, token: str, public_paths: Iterable[str]) -> None:
        self._app = app
        self._token = token.encode()
        self._public = frozenset(public_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in self._public:
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("authorization", "")
        scheme, _, credentials = given.partition(" ")
        # Headers are decoded as latin-1; comparing bytes keeps a non-ASCII guess from raising.
        matches = hmac.compare_digest(credentials.strip().encode(), self._token)
        if scheme.lower() == "bearer" and matches:
            scope["state"]["actor"] = ADMIN
            await self._app(scope, receive, send)
            return
        await self._refuse(scope, receive, send, presented=bool(given))

    async def _refuse(self, scope: Scope, receive: Receive, send: Send, *, presented: bool) -> None:
        response = problem(
            HTTPStatus.UNAUTHORIZED,
            "UNAUTHENTICATED",
            "The token is not valid." if presented else "A bearer token is required.",
            "Send 'Authorization: Bearer <token>': ALPHAPANDA_API__ADMIN_TOKEN, else the data directory's admin_token.",
            correlation_id_of(scope),
            headers={"WWW-Authenticate": 'Bearer realm="alphapanda"' + (', error="invalid_token"' * presented)},
        )
        await response(scope, receive, send)


def actor_of(request: Request) -> str:
    actor: str = request.state.actor
    return actor
