"""Files that only their owner reads, made once whatever races for them."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path


def make_once(path: Path, content: Callable[[], str]) -> None:
    """See that `path` exists, 0600 in a folder that is 0700 where it is made here. Raises OSError.

    It is written whole under another name, then linked: of processes that race, all read the one that won.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists():
        return
    aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(content() + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(aside, path)
        except FileExistsError:
            return
    finally:
        aside.unlink()


def is_open_to_others(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o077)
