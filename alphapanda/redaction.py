"""Secrets out of what people read: by the name of the value, by the shape of the text, and by the secret itself."""

import re
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, SecretStr

HIDDEN = "***"

_SHORTEST_LITERAL = 6
"""A shorter secret would blank out ordinary words; its name and its place in a URL still give it away."""

_DEEPEST = 8
_INT_BITS = 63

_CAMEL_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_SECRET_NAME = re.compile(
    r"secret|passw(?:or)?d|passphrase|authorization|credential|cookie|api_?key|private_?key|access_?key"
    r"|checksum|enctoken"  # of Kite: made with the secret, and the web login's own token
    r"|(?:^|_)(?<!instrument_)tokens?$"  # an instrument token is Kite's number of an instrument: no secret
)

_URL_PASSWORD = re.compile(r"(?P<kept>[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@]*:)\S+(?=@)")
_HEADER = re.compile(r"(?i)(?P<kept>\b(?:proxy-)?authorization[\"']?\s*[:=]\s*b?[\"']?)[^\"'\r\n]+")
_BEARER = re.compile(r"(?i)(?P<kept>\bbearer\s+)[A-Za-z0-9._~+/=-]{6,}")
# `name=value`, `"name": "value"`: prose such as "ADMIN_TOKEN: must be set" has neither form and stays readable.
_ASSIGNED = re.compile(
    r"(?P<name>[A-Za-z_][A-Za-z0-9_-]*)(?P<between>[\"']?\s?=\s?b?[\"']?|[\"']\s*:\s*b?[\"'])(?P<value>[^\s\"'&,;)}\]]+)"
)


class _Literals:
    """Secrets known by their value; one expression, longest first, so that no secret hides a part of another."""

    def __init__(self) -> None:
        self._values: set[str] = set()
        self.pattern: re.Pattern[str] | None = None

    def add(self, value: str) -> None:
        if len(value) >= _SHORTEST_LITERAL and value not in self._values:
            self._values.add(value)
            longest_first = sorted(self._values, key=len, reverse=True)
            self.pattern = re.compile("|".join(map(re.escape, longest_first)))


_literals = _Literals()


def hide(secret: str) -> None:
    """From now on `secret` itself is redacted wherever it turns up; of a URL, its password is."""
    if "://" not in secret:
        _literals.add(secret)
        return
    try:
        parts = urlsplit(secret)
        password, public = parts.password, {parts.username, parts.hostname, parts.path.strip("/")}
    except ValueError:  # not a URL after all
        _literals.add(secret)
        return
    if password and password not in public:  # `alphapanda:alphapanda@` would blank out the project's own name
        _literals.add(password)
        _literals.add(unquote(password))


def hide_secrets_of(model: BaseModel) -> None:
    """`hide` every SecretStr of the model and of the models in it."""
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, SecretStr):
            hide(value.get_secret_value())
        elif isinstance(value, BaseModel):
            hide_secrets_of(value)


def is_secret_name(name: str) -> bool:
    return _SECRET_NAME.search(_CAMEL_HUMP.sub("_", name).replace("-", "_").lower()) is not None


def redact_text(text: str) -> str:
    """The text without passwords in URLs, authorization headers, assigned secrets and secrets known by value."""
    if _literals.pattern is not None:
        text = _literals.pattern.sub(HIDDEN, text)
    if "://" in text:
        text = _URL_PASSWORD.sub(rf"\g<kept>{HIDDEN}", text)
    text = _BEARER.sub(rf"\g<kept>{HIDDEN}", _HEADER.sub(rf"\g<kept>{HIDDEN}", text))
    return _ASSIGNED.sub(_hide_assigned, text)


def redact(value: Any, *, name: str = "") -> Any:
    """`value` as plain JSON-like data, redacted; `name` is what it is called. Unknown types become redacted text."""
    return _redact(value, name, _DEEPEST)


def _redact(value: Any, name: str, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if name and is_secret_name(name):
        return HIDDEN
    match value:
        case Enum():
            return _redact(value.value, name, depth)
        case str():
            return redact_text(value)
        case int():
            return value if value.bit_length() <= _INT_BITS else str(value)
        case float():
            return value
        case Decimal() | date() | datetime() | time():
            return str(value)
        case Mapping() if depth:
            return {str(key): _redact(item, str(key), depth - 1) for key, item in value.items()}
        case list() | tuple() | set() | frozenset() if depth:
            return [_redact(item, "", depth - 1) for item in value]
        case bytes():
            return redact_text(value.decode(errors="replace"))
        case _:
            return redact_text(str(value) if isinstance(value, BaseException) else repr(value))


def _hide_assigned(found: re.Match[str]) -> str:
    if not is_secret_name(found["name"]):
        return found[0]
    return f"{found['name']}{found['between']}{HIDDEN}"
