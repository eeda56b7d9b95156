"""Logins of the simulated account: single-use request tokens, one access token at a time."""

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta

import msgspec

from alphapanda.kitesim.errors import KiteError, dead_token
from alphapanda.kitesim.settings import SimSettings

_TOKEN_BYTES = 16


class SessionState(msgspec.Struct, kw_only=True):
    access_token: str | None = None
    opened_at: datetime | None = None
    opened: int = 0


class Sessions:
    def __init__(self, settings: SimSettings) -> None:
        self._settings = settings
        self._request_tokens: dict[str, datetime] = {}
        self.state = SessionState()

    @property
    def is_open(self) -> bool:
        return self.state.access_token is not None

    def request_token(self, now: datetime) -> str:
        """What a login ends with; good once, and for minutes."""
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self._request_tokens[token] = now + timedelta(seconds=self._settings.request_token_s)
        return token

    def exchange(self, api_key: str, request_token: str, checksum: str, now: datetime) -> str:
        """A new access token; the one before it dies. Raises KiteError."""
        if api_key != self._settings.api_key:
            raise KiteError("InputException", "Invalid `api_key`.", 403)
        if not hmac.compare_digest(checksum, session_checksum(self._settings, request_token)):
            raise KiteError("TokenException", "Invalid `checksum`.", 403)
        expires = self._request_tokens.pop(request_token, None)
        if expires is None or expires <= now:
            raise KiteError("TokenException", "Token is invalid or has expired.", 403)
        return self.open(now)

    def open(self, now: datetime) -> str:
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        self.state = SessionState(access_token=token, opened_at=now, opened=self.state.opened + 1)
        return token

    def end(self) -> None:
        """The day's end, a logout, or a login elsewhere."""
        self.state.access_token = None

    def check(self, authorization: str) -> None:
        """Of an `Authorization: token api_key:access_token` header. Raises KiteError (TokenException)."""
        api_key, _, token = authorization.removeprefix("token ").partition(":")
        if not self.is_alive(api_key, token):
            raise dead_token()

    def is_alive(self, api_key: str, access_token: str) -> bool:
        live = self.state.access_token
        return live is not None and api_key == self._settings.api_key and hmac.compare_digest(access_token, live)


def session_checksum(settings: SimSettings, request_token: str) -> str:
    return hashlib.sha256(f"{settings.api_key}{request_token}{settings.api_secret}".encode()).hexdigest()
