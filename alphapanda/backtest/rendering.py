"""How values stand in a report: rupees as strings to the paisa, moments as RFC 3339, what is unknown as None."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from alphapanda.domain.money import to_paisa

Document = dict[str, Any]


def rupees(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{to_paisa(amount):f}"


def price(value: Decimal | None) -> str | None:
    """A price as exact as it is."""
    return None if value is None else f"{value:f}"


def ratio(value: float | None) -> float | None:
    """Six digits: what lies beyond is noise, and differs between machines."""
    return None if value is None else round(value, 6)


def iso(when: datetime | None) -> str | None:
    return None if when is None else when.astimezone(UTC).isoformat().replace("+00:00", "Z")


def moment(at: float) -> str | None:
    return iso(datetime.fromtimestamp(at, UTC))
