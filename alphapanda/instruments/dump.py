"""A Kite instrument dump, read row by row: a bad row is told of and never blocks the others.

Pure, and meant for a thread: 100,000 rows take a good half second.
"""

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date

from alphapanda.domain.errors import AlphaPandaError
from alphapanda.domain.vocabulary import Exchange
from alphapanda.instruments.rows import Columns, DumpRow, Refused, RowReader

COLUMNS = (
    "instrument_token", "tradingsymbol", "name", "expiry", "strike", "tick_size", "lot_size", "instrument_type",
    "segment", "exchange",
)  # fmt: skip
"""Those we need, under the names of Kite's header line; others, and any order, are fine."""

_MOST_EXAMPLES = 5
_TELL_EVERY = 10_000
_SERVED = frozenset(Exchange)

Progress = Callable[[str, int, int | None], None]
"""`progress(step, done, of)`: rows done of so many, None where that is not known. May be called from a thread."""


def no_progress(step: str, done: int, of: int | None) -> None:
    """For who does not watch."""


class DumpUnreadable(AlphaPandaError):  # noqa: N818 - named for the condition
    """What was given is no instrument dump."""

    code = "INSTRUMENT_DUMP_UNREADABLE"
    default_next_action = "Load Kite's instruments CSV, plain or as .gz, with its header line."


@dataclass(frozen=True, slots=True)
class Example:
    """A refused row: its line in the file, what it calls itself, and what is wrong with it."""

    line: int
    instrument: str
    detail: str


@dataclass(slots=True)
class Report:
    """What was refused and why. `skipped`: rows of exchanges that are not traded here, by exchange."""

    rows: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Example]] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)

    def refuse(self, rule: str, example: Example) -> None:
        self.refused[rule] += 1
        shown = self.examples.setdefault(rule, [])
        if len(shown) < _MOST_EXAMPLES:
            shown.append(example)


@dataclass(frozen=True, slots=True)
class Dump:
    """`digest` tells one file from another: the SHA-256 of its bytes as read."""

    as_of: date
    digest: str
    report: Report
    by_exchange: dict[str, int]

    @property
    def accepted(self) -> int:
        return sum(self.by_exchange.values())


def read_dump(data: bytes, *, as_of: date, take: Callable[[DumpRow], object], progress: Progress = no_progress) -> Dump:
    """Read a dump that describes `as_of`; `take` is given each sound row. Raises DumpUnreadable where there is no
    header, or no CSV at all.

    Rows are handed on and not kept: the garbage collector, which holds up the event loop too, would have to look
    through 100,000 of them time and again.
    """
    reader = csv.reader(io.StringIO(_text(data), newline=""))
    columns, width = _columns(reader)
    lines = data.count(b"\n")
    report, rows = Report(), RowReader(columns, width, as_of)
    counted: Counter[str] = Counter()
    try:
        for cells in reader:
            if not cells:
                continue
            report.rows += 1
            if report.rows % _TELL_EVERY == 0:
                progress("check rows", report.rows, lines)
            if len(cells) == width and (exchange := cells[columns.exchange]) not in _SERVED:
                report.skipped[exchange[:20]] += 1
                continue
            read = rows.read(cells)
            if isinstance(read, Refused):
                report.refuse(read.rule, Example(reader.line_num, rows.name_of(cells), read.detail))
            else:
                counted[read.exchange] += 1
                take(read)
    except csv.Error as error:
        raise DumpUnreadable(f"the dump is no CSV: line {reader.line_num}: {error}") from error
    progress("check rows", report.rows, report.rows)
    return Dump(as_of, hashlib.sha256(data).hexdigest(), report, dict(sorted(counted.items())))


def earliest_expiry(data: bytes) -> date | None:
    """The first expiry in a dump: contracts leave it once expired, so it cannot be of a later day than that.

    Rows that do not read are passed over here. Raises DumpUnreadable like `read_dump`.
    """
    reader = csv.reader(io.StringIO(_text(data), newline=""))
    columns, width = _columns(reader)
    try:
        texts = {cells[columns.expiry] for cells in reader if len(cells) == width}
    except csv.Error as error:
        raise DumpUnreadable(f"the dump is no CSV: line {reader.line_num}: {error}") from error
    return min((day for text in texts if (day := _date_or_none(text)) is not None), default=None)


def _date_or_none(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DumpUnreadable(f"the dump is not UTF-8 text: byte {error.start}") from error


def _columns(reader: Iterator[list[str]]) -> tuple[Columns, int]:
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise DumpUnreadable(f"the dump is no CSV: {error}") from error
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise DumpUnreadable(f"the dump's header line lacks {', '.join(missing)}")
    return Columns(*(header.index(name) for name in COLUMNS)), len(header)
