"""Recorded files as one stream of ticks that carry the recorded clock; replay feeds the same ticks at a wall clock."""

import gzip
import heapq
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from alphapanda.domain.errors import InvalidValueError
from alphapanda.domain.instrument import Instrument
from alphapanda.feed.instruments import by_key, recorded
from alphapanda.feed.replay_files import Kind, ReplayFile, Row, inspect_files, read_bars, read_ticks
from alphapanda.live.quotes import Tick

_PATTERNS = ("*.csv", "*.csv.gz")
_TICKS_PER_BAR = 4
_CHUNK = 1 << 20


def data_files(paths: Iterable[Path]) -> list[Path]:
    """The files themselves, and of each folder its `.csv` and `.csv.gz`, by name. Raises InvalidValueError."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted({file for pattern in _PATTERNS for file in path.glob(pattern)})
            if not inside:
                raise InvalidValueError(f"data: the folder {path} holds no .csv or .csv.gz file")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise InvalidValueError(f"data: there is no file or folder {path}")
    return found


class Recordings:
    """The ticks of recorded files, merged by time, the same whatever order the files are named in.

    Received in virtual time means: the moment the exchange made it. Construction reads headers and first rows and
    raises ReplayFileError; so does iteration, at the first bad row.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._files = tuple(sorted(inspect_files(data_files(paths)), key=lambda file: (file.label, file.path)))
        self._own = tuple(recorded(file) for file in self._files)
        self.instruments: Mapping[str, Instrument] = by_key(self._own)

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(file.path for file in self._files)

    def ticks(self) -> Iterator[Tick]:
        for at, instrument, _, price, volume in self._rows():
            yield Tick(instrument, price, at, at, volume)

    def count(self) -> int:
        """About how many ticks will come, for a progress bar: by lines, without reading what stands in them."""
        return sum(_lines(file.path) * (_TICKS_PER_BAR if file.kind is Kind.BARS else 1) for file in self._files)

    def _rows(self) -> Iterator[Row]:
        tokens = {own.instrument_token: own.key for own in self._own}
        streams = []
        for number, (file, own) in enumerate(zip(self._files, self._own, strict=True)):
            streams.append(_read(file, number, own, tokens))
        return streams[0] if len(streams) == 1 else heapq.merge(*streams)


def _read(file: ReplayFile, number: int, own: Instrument, tokens: Mapping[int, str]) -> Iterator[Row]:
    return read_bars(file, number, own.key) if file.kind is Kind.BARS else read_ticks(file, number, tokens)


def _lines(path: Path) -> int:
    count = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                count += chunk.count(b"\n")
    except (OSError, EOFError):
        return count  # what is wrong with it is said when it is read in earnest
    return max(count - 1, 0)
