"""What can be traded in the simulation, and the dump of it as Kite serves it."""

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from decimal import Decimal

import msgspec

from alphapanda.feed.simulated_symbols import known_symbols, profile_of, tick_size_at

_SEGMENTS = {"NSE": 1, "NFO": 2, "CDS": 3, "BSE": 4, "BFO": 5, "BCD": 6, "MCX": 7}
_INDEX_SEGMENT = 9
_COLUMNS = (
    "instrument_token", "exchange_token", "tradingsymbol", "name", "last_price", "expiry", "strike", "tick_size",
    "lot_size", "instrument_type", "segment", "exchange",
)  # fmt: skip
_EQUITY_FREEZE = 100_000


class SimInstrument(msgspec.Struct, frozen=True, kw_only=True):
    """`multiplier` is rupees per point and unit; `freeze_quantity` the most one order may carry."""

    exchange: str
    tradingsymbol: str
    token: int
    name: str
    instrument_type: str  # EQ, FUT, CE, PE; an index is an EQ of segment INDICES, as in Kite's dump
    segment: str
    tick_size: Decimal
    lot_size: int
    base_price: Decimal
    freeze_quantity: int
    expiry: date | None = None
    strike: Decimal = Decimal(0)
    multiplier: int = 1

    @property
    def key(self) -> str:
        return f"{self.exchange}:{self.tradingsymbol}"

    @property
    def is_index(self) -> bool:
        return self.segment == "INDICES"

    @property
    def is_share(self) -> bool:
        return self.instrument_type == "EQ" and not self.is_index

    @property
    def is_option(self) -> bool:
        return self.instrument_type in ("CE", "PE")

    def on_grid(self, price: Decimal) -> Decimal:
        """The nearest price of the grid, at least one tick."""
        return max(round(price / self.tick_size), 1) * self.tick_size


class Instruments:
    """All instruments by key and token. A cash share asked for for the first time is made up, the same everywhere."""

    def __init__(self, today: date) -> None:
        self._by_key: dict[str, SimInstrument] = {}
        self._by_token: dict[int, SimInstrument] = {}
        for symbol in known_symbols():
            self._add(_share("NSE", symbol))
        for made in _index_family(today):
            self._add(made)

    def get(self, key: str) -> SimInstrument | None:
        return self._by_key.get(key)

    def by_token(self, token: int) -> SimInstrument | None:
        return self._by_token.get(token)

    def learn(self, exchange: str, tradingsymbol: str) -> SimInstrument | None:
        """The instrument, made up if it is a share nobody has named yet; None for an unknown derivative."""
        found = self._by_key.get(f"{exchange}:{tradingsymbol}")
        if found is None and exchange in ("NSE", "BSE") and tradingsymbol:
            found = self._add(_share(exchange, tradingsymbol))
        return found

    def __iter__(self) -> Iterator[SimInstrument]:
        return iter(self._by_key.values())

    def _add(self, made: SimInstrument) -> SimInstrument:
        self._by_key[made.key] = made
        self._by_token[made.token] = made
        return made


def dump(instruments: Iterable[SimInstrument]) -> bytes:
    """The CSV of `/instruments`; prices in it are always 0.0, as in Kite's."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for each in instruments:
        expiry = each.expiry.isoformat() if each.expiry else ""
        row = (each.token, each.token >> 8, each.tradingsymbol, each.name, "0.0", expiry, float(each.strike))
        writer.writerow((*row, float(each.tick_size), each.lot_size, each.instrument_type, each.segment, each.exchange))
    return out.getvalue().encode()


def _token(key: str, segment: int) -> int:
    """24 bits of the name and the segment: 32 bits in all, as the tick protocol carries them."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:3], "big") << 8 | segment


def _share(exchange: str, symbol: str) -> SimInstrument:
    profile = profile_of(symbol)
    return SimInstrument(
        exchange=exchange,
        tradingsymbol=symbol,
        token=_token(f"{exchange}:{symbol}", _SEGMENTS[exchange]),
        name=profile.name,
        instrument_type="EQ",
        segment=exchange,
        tick_size=tick_size_at(profile.base_price),
        lot_size=1,
        base_price=Decimal(str(profile.base_price)),
        freeze_quantity=_EQUITY_FREEZE,
    )


def _index_family(today: date) -> Iterator[SimInstrument]:
    """NIFTY 50 and its future, a call and a put of the month; lot and freeze quantity as in 2026."""
    level = Decimal(24_000)
    expiry = _last_tuesday(today)
    month = f"{expiry:%y%b}".upper()
    tick = Decimal("0.05")
    yield SimInstrument(
        exchange="NSE", tradingsymbol="NIFTY 50", token=_token("NSE:NIFTY 50", _INDEX_SEGMENT), name="NIFTY 50",
        instrument_type="EQ", segment="INDICES", tick_size=tick, lot_size=1, base_price=level, freeze_quantity=0,
    )  # fmt: skip
    for suffix, kind, segment, strike, price in (
        ("FUT", "FUT", "NFO-FUT", Decimal(0), level),
        ("24000CE", "CE", "NFO-OPT", level, Decimal(200)),
        ("24000PE", "PE", "NFO-OPT", level, Decimal(180)),
    ):
        symbol = f"NIFTY{month}{suffix}"
        yield SimInstrument(
            exchange="NFO", tradingsymbol=symbol, token=_token(f"NFO:{symbol}", _SEGMENTS["NFO"]),
            name="NIFTY", instrument_type=kind, segment=segment, tick_size=tick, lot_size=75, base_price=price,
            freeze_quantity=1800, expiry=expiry, strike=strike,
        )  # fmt: skip


def _last_tuesday(today: date) -> date:
    """The monthly expiry: the month's last Tuesday, of the next month once it is past."""
    for months in (0, 1):
        first = date(today.year + (today.month + months) // 12, (today.month + months) % 12 + 1, 1)
        last = first - timedelta(days=1)
        expiry = last - timedelta(days=(last.weekday() - 1) % 7)
        if expiry >= today:
            return expiry
    raise AssertionError(today)  # unreachable: the next month's expiry is never past
