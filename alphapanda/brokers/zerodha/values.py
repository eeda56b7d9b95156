"""Kite's plain values as ours: exact decimals, times with their zone, and whose tag a tag is."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from alphapanda.domain.calendar import IST, trading_date
from alphapanda.domain.ids import TAG_LENGTH

SLICE_MARK = "autoslice:"
_MARKS = ("autoslice", "mktp", "iceberg")
"""Kite's own entries among an order's tags: `mktp:2.00`, `autoslice:<id of the sliced order>`."""
_LONGEST = 30
"""Digits: far above any amount, and far below a number that takes minutes to write out (`1e999999`)."""


def tags_of(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Every tag of the row, in both of Kite's fields, each once."""
    several = row.get("tags")
    found = [row.get("tag"), *(several if isinstance(several, list) else [])]
    return tuple(dict.fromkeys(tag for tag in found if isinstance(tag, str) and tag))


def caller_tag(row: Mapping[str, Any], tags: Iterable[str]) -> str | None:
    """The tag the order was placed with: one of our form first, else any that is not Kite's own mark."""
    given = [tag for tag in tags if tag.split(":")[0] not in _MARKS]
    return next((tag for tag in given if is_our_form(tag)), given[0] if given else None)


def is_our_form(tag: str | None) -> bool:
    return tag is not None and len(tag) == TAG_LENGTH and tag.isascii() and tag.isalnum() and tag == tag.upper()


def exact(value: object) -> Decimal:
    """The decimal that Kite wrote: a float's shortest text is it, its binary value is not."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise TypeError(f"{value!r} is no number")
    number = Decimal(str(value))
    if not number.is_finite() or abs(number.adjusted()) > _LONGEST:
        raise ValueError(f"{str(value)[:40]!r} is no amount")
    return number


def positive(value: object) -> Decimal | None:
    """Kite writes 0 where there is no price."""
    if value is None:
        return None
    number = exact(value)
    return number if number > 0 else None


def time_of(value: object, *, now: datetime) -> datetime | None:
    """Kite's naive Indian time as aware UTC; `16:00:36` alone is of today. None for what is no time."""
    if isinstance(value, datetime):
        found = value
    elif not isinstance(value, str) or not value:
        return None
    else:
        text = f"{trading_date(now).isoformat()} {value}" if len(value) == len("16:00:36") else value
        try:
            found = datetime.fromisoformat(text)
        except ValueError:
            return None
    try:
        return (found if found.tzinfo else found.replace(tzinfo=IST)).astimezone(UTC)
    except OverflowError:  # `0001-01-01 00:00:00`: some other program's "never"
        return None
