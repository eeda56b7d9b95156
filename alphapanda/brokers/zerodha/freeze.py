"""Freeze quantities by underlying: dated data (`freeze.toml`), never constants."""

import re
from dataclasses import dataclass
from datetime import date
from functools import cache
from itertools import pairwise
from pathlib import Path

from alphapanda.domain import tables
from alphapanda.domain.tables import Row, TableError
from alphapanda.domain.vocabulary import Exchange

_EXCHANGES = (Exchange.NFO, Exchange.BFO)

# What follows the underlying's name: 25AUGFUT, 25AUG24400CE, or a week as 25807 / 25O07 before strike and right.
_CONTRACT = re.compile(r"\d{2}(?:[A-Z]{3}|[1-9OND]\d{2})(?:FUT|\d+(?:\.\d+)?(?:CE|PE))")


@dataclass(frozen=True, slots=True)
class _Dated:
    first_day: date
    quantities: dict[Exchange, dict[str, int]]


class FreezeTable:
    def __init__(self, dated: tuple[_Dated, ...]) -> None:
        self._dated = dated

    @staticmethod
    def packaged() -> "FreezeTable":
        """The quantities shipped with this version; parsed once per process."""
        return _packaged()

    def quantity(self, exchange: Exchange, tradingsymbol: str, day: date) -> int | None:
        """The largest quantity of one order; None where it is not known, as for every cash share."""
        for dated in reversed(self._dated):
            if dated.first_day <= day:
                known = dated.quantities.get(exchange, {})
                return next((known[name] for name in known if _is_of(tradingsymbol, name)), None)
        return None


def _is_of(tradingsymbol: str, underlying: str) -> bool:
    """Whether the contract is of that underlying; NIFTYNXT50 is none of NIFTY's."""
    rest = tradingsymbol.removeprefix(underlying)
    return rest != tradingsymbol and _CONTRACT.fullmatch(rest) is not None


@cache
def _packaged() -> FreezeTable:
    root = tables.from_file(Path(__file__).with_name("freeze.toml"))
    root.only("tables")
    dated = tuple(_parse(row) for row in root.rows("tables"))
    if not all(earlier.first_day < later.first_day for earlier, later in pairwise(dated)):
        raise TableError(f"{root.where}.tables: 'from' must ascend")
    return FreezeTable(dated)


def _parse(row: Row) -> _Dated:
    row.only("from", *_EXCHANGES)
    given = {exchange: row.row(exchange) for exchange in _EXCHANGES if exchange in row}
    return _Dated(
        row.day("from"),
        {exchange: {name: int(names.number(name)) for name in names.names} for exchange, names in given.items()},
    )
