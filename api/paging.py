"""Cursors: the key of a page's last row, opaque to clients, checked when it comes back."""

import base64
import binascii
from datetime import datetime
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec
from fastapi import Depends, Query

from alphapanda.ledger.queries import DEFAULT_LIMIT, MAX_LIMIT
from api.errors import CursorInvalid

Key = TypeVar("Key", bound=tuple[Any, ...])


def encode_cursor(key: tuple[Any, ...] | None) -> str | None:
    if key is None:
        return None
    data = msgspec.json.encode((type(key).__name__, *key))
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode_cursor(cursor: str | None, kind: type[Key]) -> Key | None:
    """The key inside; raises CursorInvalid for anything that this list did not give out."""
    if cursor is None:
        return None
    try:
        data = base64.b64decode(cursor.encode() + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        name, *parts = msgspec.json.decode(data, type=list[str | int])
        if name != kind.__name__:
            raise CursorInvalid("cursor: belongs to another list")
        key: Key = msgspec.convert(parts, kind, strict=True)
    except (binascii.Error, UnicodeError, ValueError, msgspec.MsgspecError) as error:
        raise CursorInvalid("cursor: is not one that this list gave out") from error
    for part in key:
        foreign = (
            (isinstance(part, datetime) and part.tzinfo is None)
            or (isinstance(part, str) and not part.isprintable())
            or (isinstance(part, int) and not 0 <= part < 2**31)
        )
        if foreign:
            raise CursorInvalid("cursor: is not one that this list gave out")
    return key


CursorQuery = Annotated[
    str | None, Query(max_length=500, description="`next_cursor` of the previous page; absent = the first page.")
]
LimitQuery = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Items per page.")]


class Paging(NamedTuple):
    cursor: str | None
    limit: int


def paging(cursor: CursorQuery = None, limit: LimitQuery = DEFAULT_LIMIT) -> Paging:
    return Paging(cursor, limit)


PagingDep = Annotated[Paging, Depends(paging)]
