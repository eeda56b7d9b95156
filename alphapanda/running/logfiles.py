"""The log files of child processes: bounded, with their last words and their warnings for whoever watches."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

LIMIT_BYTES = 20_000_000
_TAIL_BYTES = 8_000
_LONGEST_READ = 1_000_000


def open_log(path: Path) -> BinaryIO:
    """For appending by a child; a file past the limit is put aside first, in place of the one before it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LIMIT_BYTES:
        path.replace(path.with_suffix(".log.1"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    return os.fdopen(descriptor, "ab")


def last_lines(path: Path, count: int) -> list[str]:
    """The last lines that hold anything; none where there is no file."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    return [line for line in text.splitlines() if line.strip()][-count:]


class LogFollower:
    """Whole lines written to a log from now on, a file put aside or cut included."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = path.stat().st_size if path.exists() else 0
        self._rest = b""

    def new_lines(self) -> Iterator[str]:
        try:
            with self._path.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                if size < self._offset:
                    self._offset, self._rest = 0, b""
                file.seek(self._offset)
                data = file.read(_LONGEST_READ)
        except FileNotFoundError:
            return
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            yield line.decode(errors="replace")
        if size > LIMIT_BYTES and self._offset == size:
            # The child appends, so it goes on at the new beginning; what it wrote this instant is lost, knowingly.
            self._path.with_suffix(".log.1").write_bytes(self._path.read_bytes())
            os.truncate(self._path, 0)
            self._offset = 0
