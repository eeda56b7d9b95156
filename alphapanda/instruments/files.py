"""A dump from a file, and the day it can be of."""

import gzip
import io
import zlib
from datetime import UTC, date, datetime
from pathlib import Path

from alphapanda.domain.calendar import trading_date
from alphapanda.instruments.dump import DumpUnreadable, earliest_expiry

_MOST_BYTES = 100_000_000
"""Ten times the biggest dump there has been: what a small .gz may become before it is no dump."""

_GZIP = b"\x1f\x8b"


def read_file(path: Path) -> bytes:
    """The CSV in the file, unpacked if it is a .gz. Raises DumpUnreadable."""
    try:
        with path.open("rb") as file:
            packed = file.read(_MOST_BYTES + 1)
        if not packed.startswith(_GZIP):
            data = packed
        else:
            with gzip.GzipFile(fileobj=io.BytesIO(packed)) as unpacked:
                data = unpacked.read(_MOST_BYTES + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DumpUnreadable(f"{path} is cut off or damaged: {error}", next_action="Fetch the file again.") from error
    except OSError as error:
        raise DumpUnreadable(f"{path} cannot be read: {error.strerror}", next_action="Correct the path.") from error
    if len(data) > _MOST_BYTES:
        raise DumpUnreadable(f"{path} holds more than {_MOST_BYTES // 1_000_000} MB, which no dump does")
    return data


def date_of_file(path: Path, data: bytes) -> date:
    """The day the dump can be of at the latest: when the file was written, or its first expiry, whichever was first.

    A file does not tell its day, and a copy is younger than what it holds; to take it for today's would hide that its
    ticks and lots are old.
    """
    written = trading_date(datetime.fromtimestamp(path.stat().st_mtime, tz=UTC))
    expiry = earliest_expiry(data)
    return written if expiry is None else min(written, expiry)
