"""Dated facts of the market (sessions, holidays, charges) as TOML beside this file, and one strict reader for them.

Exchanges change hours and rates by circular, so these are data with a date, never constants in code. TOML numbers
are read as `Decimal`: a rate written 0.00297 is exactly that.
"""

import tomllib
from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from importlib import resources
from pathlib import Path

from alphapanda.domain.errors import AlphaPandaError


class TableError(AlphaPandaError):
    """A table file is missing, is not TOML, or breaks a rule; the message names the file, the key and the rule."""

    code = "TABLE_INVALID"
    default_next_action = "Correct the named key; the tables packaged in alphapanda/domain/tables show the layout."


class Row:
    """One TOML table read key by key with the type each key must have; `where` names it in every error."""

    def __init__(self, values: object, where: str) -> None:
        if not isinstance(values, dict):
            raise TableError(f"{where}: must be a table, not {values!r}")
        self._values: Mapping[str, object] = values
        self.where = where

    def __contains__(self, key: str) -> bool:
        return key in self._values

    @property
    def names(self) -> tuple[str, ...]:
        """The keys, in the file's order."""
        return tuple(self._values)

    def only(self, *known: str) -> None:
        """Refuse any other key: a misspelt one would otherwise be a fact silently lost."""
        for key in self._values:
            if key not in known:
                raise TableError(f"{self.where}: unknown key {key!r}; known are {', '.join(known)}")

    def _get(self, key: str) -> object:
        if key not in self._values:
            raise TableError(f"{self.where}: {key!r} is missing")
        return self._values[key]

    def _wrong(self, key: str, expected: str) -> TableError:
        return TableError(f"{self.where}: {key!r} must be {expected}, not {self._values[key]!r}")

    def text(self, key: str) -> str:
        value = self._get(key)
        if not isinstance(value, str):
            raise self._wrong(key, "a string")
        return value

    def day(self, key: str) -> date:
        value = self._get(key)
        if not isinstance(value, date) or isinstance(value, datetime):
            raise self._wrong(key, "a date like 2026-01-26")
        return value

    def clock(self, key: str) -> time:
        """An Indian wall-clock time (naive on purpose: the calendar adds the zone)."""
        value = self._get(key)
        if not isinstance(value, time):
            raise self._wrong(key, "a time like 09:15:00")
        return value

    def optional_clock(self, key: str) -> time | None:
        return self.clock(key) if key in self else None

    def number(self, key: str) -> Decimal:
        """A rate or amount; negative ones are refused (no table here has a rebate)."""
        value = self._get(key)
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise self._wrong(key, "a number")
        number = Decimal(value)
        if not number.is_finite() or number < 0:
            raise self._wrong(key, "a number that is not negative")
        return number

    def row(self, key: str) -> "Row":
        return Row(self._get(key), f"{self.where}.{key}")

    def rows(self, key: str) -> "tuple[Row, ...]":
        value = self._get(key)
        if not isinstance(value, list) or not value:
            raise self._wrong(key, "a list of tables with at least one entry")
        return tuple(Row(item, f"{self.where}.{key}[{index}]") for index, item in enumerate(value))

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._get(key)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._wrong(key, "a list of strings")
        return tuple(value)

    def days(self, key: str) -> tuple[date, ...]:
        value = self._get(key)
        if not isinstance(value, list) or not all(type(item) is date for item in value):
            raise self._wrong(key, "a list of dates like [2026-01-26]")
        return tuple(value)


def packaged(name: str) -> Row:
    """The table `name` (`calendar.toml`, `charges.toml`) as shipped."""
    return _parse(resources.files(__name__).joinpath(name).read_text("utf-8"), name)


def from_file(path: str | Path) -> Row:
    """A table of the person's own, whole: it replaces the packaged one, nothing is merged."""
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(
            f"{path}: cannot be read ({error})", next_action="Correct the path, or unset it to use the packaged table."
        ) from error
    return _parse(text, str(path))


def _parse(text: str, where: str) -> Row:
    try:
        return Row(tomllib.loads(text, parse_float=Decimal), where)
    except tomllib.TOMLDecodeError as error:
        raise TableError(f"{where}: is not valid TOML ({error})") from error
