"""One row of a dump: what makes it an instrument that can be traded, or the rule that refuses it."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import NamedTuple, TypeVar

from alphapanda.domain.calendar import Segment
from alphapanda.domain.instrument import InstrumentType, instrument_key
from alphapanda.domain.vocabulary import Exchange

_MAX_TOKEN = 2**32
_MAX_LOT = 10**7
_MAX_SYMBOL = 64
_MAX_NAME = 200
_FINEST = Decimal("0.0001")
"""The ledger keeps rupees to four decimals; a finer grid would be rounded, and prices refused for it."""
_MAX_RUPEES = Decimal(10**9)

_INDICES = "INDICES"
_DERIVATIVES = frozenset({InstrumentType.FUTURE, InstrumentType.CALL, InstrumentType.PUT})
_TYPES = {str(kind): kind for kind in InstrumentType if kind is not InstrumentType.INDEX}
_SEGMENTS = {
    Exchange.NSE: Segment.NSE_EQ,
    Exchange.BSE: Segment.BSE_EQ,
    Exchange.NFO: Segment.NSE_FNO,
    Exchange.BFO: Segment.BSE_FNO,
    Exchange.CDS: Segment.CDS,
    Exchange.MCX: Segment.MCX,
}
_CASH = frozenset({Exchange.NSE, Exchange.BSE})

T = TypeVar("T")


class Columns(NamedTuple):
    """Where each column stands in the file."""

    token: int
    symbol: int
    name: int
    expiry: int
    strike: int
    tick: int
    lot: int
    type: int
    segment: int
    exchange: int


class DumpRow(NamedTuple):
    """An instrument as the dump has it; `segment` is the calendar's."""

    exchange: str
    tradingsymbol: str
    instrument_token: int
    instrument_type: str
    segment: str
    name: str
    tick_size: Decimal
    lot_size: int
    expiry: date | None
    strike: Decimal | None


class Refused(NamedTuple):
    """`rule` is stable, a column's name or what else it is about; `detail` says what was found and what should be."""

    rule: str
    detail: str


class _Bad(Exception):  # noqa: N818 - never leaves this module
    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(rule)
        self.refused = Refused(rule, detail)


class RowReader:
    """Reads the rows of one file, and remembers which instruments and tokens it has had.

    Of two rows with one name or one token the first counts: which of them is right cannot be known here.
    """

    def __init__(self, columns: Columns, width: int, as_of: date) -> None:
        self._at = columns
        self._width = width
        self._as_of = as_of
        self._keys: set[str] = set()
        self._tokens: set[int] = set()

    def name_of(self, cells: list[str]) -> str:
        """What a refused row calls itself, as far as it does."""
        symbol = cells[self._at.symbol] if len(cells) > self._at.symbol else ""
        exchange = cells[self._at.exchange] if len(cells) > self._at.exchange else ""
        return _shown(f"{exchange}:{symbol}")

    def read(self, cells: list[str]) -> DumpRow | Refused:
        """The cells of a row whose exchange is one of ours."""
        if len(cells) != self._width:
            return Refused("columns", f"{len(cells)} columns; the header has {self._width}")
        try:
            return self._row(cells)
        except _Bad as bad:
            return bad.refused

    def _row(self, cells: list[str]) -> DumpRow:
        at, exchange = self._at, Exchange(cells[self._at.exchange])
        token, symbol, name = _token(cells[at.token]), cells[at.symbol], cells[at.name]
        if not symbol or len(symbol) > _MAX_SYMBOL or not symbol.isprintable() or symbol != symbol.strip():
            raise _Bad("tradingsymbol", f"{_shown(symbol)!r}; 1 to {_MAX_SYMBOL} printable characters")
        if len(name) > _MAX_NAME or not name.isprintable():
            raise _Bad("name", f"{_shown(name)!r}; at most {_MAX_NAME} printable characters")
        kind = _type(cells[at.type], cells[at.segment])
        is_index = kind is InstrumentType.INDEX
        if not is_index and (kind in _DERIVATIVES) is (exchange in _CASH):
            raise _Bad("instrument_type", f"{kind} on {exchange}")
        tick, lot = _grid(cells[at.tick], cells[at.lot], is_index)
        expiry, strike = self._terms(kind, cells[at.expiry], cells[at.strike])
        self._first(exchange, symbol, token)
        return DumpRow(exchange, symbol, token, kind, _SEGMENTS[exchange], name, tick, lot, expiry, strike)

    def _terms(self, kind: InstrumentType, expiry_text: str, strike_text: str) -> tuple[date | None, Decimal | None]:
        if kind not in _DERIVATIVES:
            if expiry_text:
                raise _Bad("expiry", f"{_shown(expiry_text)!r} on {kind}; only a derivative expires")
            return None, None
        expiry = _date(expiry_text)
        if expiry < self._as_of:
            raise _Bad("expired", f"expired {expiry}, before the dump's date {self._as_of}")
        if kind is InstrumentType.FUTURE:
            return expiry, None
        strike = _rupees(strike_text, "strike")
        if strike == 0:
            raise _Bad("strike", f"{_shown(strike_text)!r} on {kind}; above 0")
        return expiry, strike

    def _first(self, exchange: Exchange, symbol: str, token: int) -> None:
        key = instrument_key(exchange, symbol)
        if key in self._keys:
            raise _Bad("duplicate", "the instrument stands in the dump twice")
        if token in self._tokens:
            raise _Bad("duplicate", f"token {token} belongs to another row, too")
        self._keys.add(key)
        self._tokens.add(token)


def _shown(text: str) -> str:
    """Text of the file as part of a report: short, and without what a terminal would act on."""
    return "".join(each if each.isprintable() else "?" for each in text[:60])


def _type(text: str, segment: str) -> InstrumentType:
    """An index is an EQ of segment INDICES in Kite's dump."""
    kind = _TYPES.get(text)
    if kind is None:
        raise _Bad("instrument_type", f"{_shown(text)!r}; one of {', '.join(_TYPES)}")
    return InstrumentType.INDEX if segment == _INDICES and kind is InstrumentType.EQUITY else kind


def _grid(tick_text: str, lot_text: str, is_index: bool) -> tuple[Decimal, int]:
    """Tick and lot: what every price and quantity is checked against, so never a guess. An index has none."""
    tick, lot = _rupees(tick_text, "tick_size"), _lot(lot_text)
    if is_index:
        return tick, lot
    if tick == 0:
        raise _Bad("tick_size", f"{_shown(tick_text)!r}; above 0")
    if lot == 0:
        raise _Bad("lot_size", f"{_shown(lot_text)!r}; at least 1")
    return tick, lot


def _token(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and 0 < int(text) < _MAX_TOKEN):
        raise _Bad("instrument_token", f"{_shown(text)!r}; a whole number of 32 bits")
    return int(text)


def _remembered(make: Callable[[str], T]) -> Callable[[str], T]:
    """A dump has a hundred thousand rows and some hundred ticks, lots and dates."""
    return lru_cache(maxsize=20_000)(make)


@_remembered
def _lot(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 8 and int(text) <= _MAX_LOT):
        raise _Bad("lot_size", f"{_shown(text)!r}; a whole number of at most {_MAX_LOT}")
    return int(text)


@_remembered
def _date(text: str) -> date:
    try:
        if len(text) == len("2026-01-05"):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise _Bad("expiry", f"{_shown(text)!r}; a date like 2026-01-05")


@lru_cache(maxsize=20_000)
def _rupees(text: str, column: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or not 0 <= value < _MAX_RUPEES:
        raise _Bad(column, f"{_shown(text)!r}; a number of at least 0")
    if value % _FINEST:
        raise _Bad(column, f"{_shown(text)!r}; at most four decimals")
    return value
