"""Recorded files, read row by row: minute bars or ticks, plain or gzip, each row checked before it is used.

Bars:  `timestamp,open,high,low,close,volume`, one whole minute a row, named by its tradingsymbol: `INFY.csv.gz`.
Ticks: `timestamp,token,ltp`, named `[ticks_]LABEL[_TOKEN][_YYYYMMDD].csv[.gz]`, which gives the tradingsymbol LABEL
to a token nobody knows.
Times carry an offset or are Indian. A name counts up to its first dot.

The first bad row ends the file with a typed error: a hole in recorded prices would be traded on unseen. So does a
gzip stream that stops in the middle; every whole row before either is delivered first.
"""

import csv
import gzip
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import IO

from alphapanda.domain.calendar import IST
from alphapanda.domain.errors import AlphaPandaError

BAR_S = 60
_BAR_HEADER = ("timestamp", "open", "high", "low", "close", "volume")
_TICK_HEADER = ("timestamp", "token", "ltp")
_SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9 &_-]{0,63}")
_TICK_NAME = re.compile(r"(?:ticks_)?(?P<label>.+?)(?:_(?P<token>\d+))??(?:_\d{8})?")
_MAX_PRICE = 1e7

Row = tuple[float, str, int, float, int | None]
"""exchange time (epoch seconds), instrument, number of the file, price in rupees, volume: sorts by time and name."""


class ReplayFileError(AlphaPandaError):
    """A recorded file cannot be used; the message names file, line and rule."""

    code = "FEED_FILE_INVALID"
    default_next_action = "Correct the named line, or leave the file out of ALPHAPANDA_FEED__FILES."


class ReplayFileTruncated(ReplayFileError):  # noqa: N818 - named for the condition
    """A file ends in the middle. Its whole rows have been delivered."""

    code = "FEED_FILE_TRUNCATED"
    default_next_action = "Fetch the named file again: it is incomplete."


class Kind(Enum):
    BARS = _BAR_HEADER
    TICKS = _TICK_HEADER


@dataclass(frozen=True, slots=True)
class ReplayFile:
    """A file whose header and first row are known to be readable; `token` is its first row's, None for bars."""

    path: Path
    kind: Kind
    label: str
    token: int | None


@dataclass(frozen=True, slots=True)
class _Line:
    path: Path
    number: int

    def refuse(self, rule: str) -> ReplayFileError:
        return ReplayFileError(f"{self.path}, line {self.number}: {rule}")


def inspect_files(paths: Iterable[Path]) -> tuple[ReplayFile, ...]:
    """Every file opened, its header and first row read, before anything is fed. Raises ReplayFileError."""
    files = tuple(inspect_file(path) for path in paths)
    if not files:
        raise ReplayFileError("no files to replay are named", next_action="Name them in ALPHAPANDA_FEED__FILES.")
    resolved = [file.path.resolve() for file in files]
    for path in resolved:
        if resolved.count(path) > 1:
            raise ReplayFileError(f"{path}: named twice")
    return files


def inspect_file(path: Path) -> ReplayFile:
    """Raises ReplayFileError when the file is missing, has another header, no row, or no symbol in its name."""
    with _rows(path) as rows:
        header = next(rows, (_Line(path, 1), []))[1]
        names = tuple(column.strip().lower() for column in header)
        if names not in (_BAR_HEADER, _TICK_HEADER):
            expected = f"{','.join(_BAR_HEADER)!r} or {','.join(_TICK_HEADER)!r}"
            raise _Line(path, 1).refuse(f"the header must be {expected}, not {','.join(header)!r}")
        line, first = next(rows, (_Line(path, 2), None))
        if first is None:
            raise line.refuse("there is a header and no row")
        kind = Kind(names)
        _check_width(line, first, kind)
        stem = path.name.partition(".")[0]
        token = _token(line, first[1]) if kind is Kind.TICKS else None
        label = stem if token is None else _tick_label(stem, token)
    if not _SYMBOL.fullmatch(label):
        raise ReplayFileError(f"{path}: the name must begin with a tradingsymbol, and {label!r} is none")
    return ReplayFile(path, kind, label, token)


def _tick_label(stem: str, token: int) -> str:
    """`NIFTY50` of `ticks_NIFTY50_256265_20251009`; a number that is not the file's token belongs to the label."""
    match = _TICK_NAME.fullmatch(stem)
    if match is None:
        return stem
    number = match["token"]
    return match["label"] if number is None or int(number) == token else f"{match['label']}_{number}"


def read_ticks(file: ReplayFile, number: int, instruments: Mapping[int, str]) -> Iterator[Row]:
    """The rows of a tick file; `instruments` names the key of each token that may occur. Times never go back."""
    before = 0.0
    known = {str(token): key for token, key in instruments.items()}
    with _rows(file.path) as rows:
        next(rows)
        for line, row in rows:
            _check_width(line, row, file.kind)
            at = _time(line, row[0])
            if at < before:
                raise line.refuse(f"timestamp: {row[0]} is earlier than the row before")
            before = at
            instrument = known.get(row[1]) or instruments.get(_token(line, row[1]))
            if instrument is None:
                raise line.refuse(f"token: {row[1]} is neither loaded as an instrument nor the file's own {file.token}")
            yield at, instrument, number, _price(line, "ltp", row[2]), None


def read_bars(file: ReplayFile, number: int, instrument: str) -> Iterator[Row]:
    """The ticks a bar file expands to; each bar follows the one before by a minute or more."""
    before = 0.0
    with _rows(file.path) as rows:
        next(rows)
        for line, row in rows:
            _check_width(line, row, file.kind)
            at = _time(line, row[0])
            if at % BAR_S:
                raise line.refuse(f"timestamp: {row[0]} is not the start of a minute")
            if at <= before:
                raise line.refuse(f"timestamp: {row[0]} is not later than the row before")
            before = at
            open_, high = _price(line, "open", row[1]), _price(line, "high", row[2])
            low, close = _price(line, "low", row[3]), _price(line, "close", row[4])
            if high < max(open_, low, close) or low > min(open_, close):
                raise line.refuse(f"high {row[2]} and low {row[3]} must enclose open {row[1]} and close {row[4]}")
            for offset, price, volume in expand(open_, high, low, close, _volume(line, row[5])):
                yield at + offset, instrument, number, price, volume


def expand(open_: float, high: float, low: float, close: float, volume: int) -> tuple[tuple[int, float, int], ...]:
    """Four ticks of a minute bar as (seconds into the minute, price, volume), the volumes summing to the bar's.

    Open, the extreme nearer to it, the other extreme, close. Where both are as near, the one away from the close
    comes first: a rising bar dips before it rises.
    """
    up, down = high - open_, open_ - low
    low_first = down < up or (down == up and close >= open_)
    first, second = (low, high) if low_first else (high, low)
    share, rest = divmod(volume, 4)
    return (0, open_, share + rest), (20, first, share), (40, second, share), (59, close, share)


@contextmanager
def _rows(path: Path) -> Iterator[Iterator[tuple[_Line, list[str]]]]:
    """The lines of a file, with what goes wrong while reading turned into ReplayFileError."""
    try:
        stream = _open(path)
    except OSError as error:
        raise ReplayFileError(f"{path}: cannot be read ({error.strerror or type(error).__name__})") from None
    with stream:
        yield _read(path, stream)


def _open(path: Path) -> IO[str]:
    with path.open("rb") as start:
        packed = start.read(2) == b"\x1f\x8b"
    # utf-8-sig: spreadsheets save a byte order mark, which would otherwise become part of the first column's name.
    if packed:
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _read(path: Path, stream: IO[str]) -> Iterator[tuple[_Line, list[str]]]:
    reader = csv.reader(stream)
    try:
        for row in reader:
            yield _Line(path, reader.line_num), row
    except EOFError:
        where = f"{path}, after line {reader.line_num}"
        raise ReplayFileTruncated(f"{where}: the compressed file ends in the middle") from None
    except (zlib.error, gzip.BadGzipFile, UnicodeDecodeError, csv.Error) as error:
        where = f"{path}, after line {reader.line_num}"
        raise ReplayFileError(f"{where}: the file is damaged or is not CSV in UTF-8 ({error})") from None


def _check_width(line: _Line, row: list[str], kind: Kind) -> None:
    if len(row) != len(kind.value):
        raise line.refuse(f"{len(row)} columns where {','.join(kind.value)!r} needs {len(kind.value)}")


def _time(line: _Line, text: str) -> float:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise line.refuse(f"timestamp: {text!r} is not like 2024-05-21 09:15:00+05:30") from None
    at = (when if when.tzinfo else when.replace(tzinfo=IST)).timestamp()
    if at <= 0:
        raise line.refuse(f"timestamp: {text} is before 1970")
    return at


def _price(line: _Line, name: str, text: str) -> float:
    try:
        price = float(text)
    except ValueError:
        price = -1.0
    if not 0 < price <= _MAX_PRICE:  # false for NaN too
        raise line.refuse(f"{name}: {text!r} is not a price above 0 and up to {_MAX_PRICE:.0f}")
    return price


def _volume(line: _Line, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise line.refuse(f"volume: {text!r} is not a count of shares")
    return int(text)


def _token(line: _Line, text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise line.refuse(f"token: {text!r} is not an instrument token")
    return int(text)
