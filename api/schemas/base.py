"""The types all schemas share."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Generic, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

from alphapanda.domain.errors import InvalidValueError
from alphapanda.domain.money import decimal_of
from alphapanda.domain.signal import MAX_PRICE


def render_decimal(value: Decimal) -> str:
    """`1450.0500` -> `1450.05`, `1450` -> `1450.00`: at least paise, no exponent, no dust."""
    text = f"{value.normalize():f}"
    whole, _, fraction = text.partition(".")
    return f"{whole}.{fraction.ljust(2, '0')}"


def _in_utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


Rupees = Annotated[
    Decimal,
    PlainSerializer(render_decimal, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "decimal", "examples": ["1450.05"]}, mode="serialization"),
]
"""An exact decimal on its way out: a string."""

Moment = Annotated[datetime, AfterValidator(_in_utc), Field(examples=["2026-01-05T04:15:00.120000Z"])]


def exact_number(field: str) -> Callable[[Any], Any]:
    """Reads a price sent as a string or as a JSON number.

    JSON numbers arrive as floats; up to 15 digits, a float's shortest text is the very text that was sent, and a
    price has at most 14. Trailing zeros are dropped, so that "1450.50" and 1450.5 are one content.
    """

    def read(value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, str | int | float | Decimal):
            raise InvalidValueError(f"{field}: send a decimal as a string or a number")
        number = decimal_of(repr(value) if isinstance(value, float) else value, field)
        return number if abs(number.adjusted()) > 20 else Decimal(f"{number.normalize():f}")

    return read


PRICE_SCHEMA = {
    "anyOf": [{"type": "string", "format": "decimal"}, {"type": "number", "exclusiveMinimum": 0}],
    "examples": ["1450.05"],
}


def _no_control_characters(value: str) -> str:
    if any(not character.isprintable() for character in value):
        raise ValueError("control characters are not allowed")
    return value


Note = Annotated[str, Field(max_length=500), AfterValidator(_no_control_characters)]
"""A sentence from a person, for the record."""

Word = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_no_control_characters)]


def price_in(field: str) -> Any:
    return Annotated[
        Decimal,
        BeforeValidator(exact_number(field)),
        Field(gt=0, le=MAX_PRICE, max_digits=14, decimal_places=4),
        WithJsonSchema(PRICE_SCHEMA, mode="validation"),
    ]


class Out(BaseModel):
    model_config = ConfigDict(from_attributes=True, frozen=True)


class In(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


Item = TypeVar("Item")


class ListOut(Out, Generic[Item]):
    """One page. Send `next_cursor` back as `cursor` for the next; it is null on the last page."""

    items: list[Item]
    next_cursor: str | None = Field(default=None, examples=[None])
