"""This machine: Python, the data directory, the disk."""

import os
import shutil
import sys
from pathlib import Path

from alphapanda.health.check import Check, failed, ok, warning

_GIGABYTE = 1_000_000_000
_TIGHT_BYTES = 2 * _GIGABYTE
_TOO_LITTLE_BYTES = _GIGABYTE // 4


def check_python() -> Check:
    """Only shown: an older Python than 3.11 cannot even start us, and the package refuses to be installed there."""
    return ok("python", ".".join(map(str, sys.version_info[:3])))


def check_data_dir(data_dir: Path) -> Check:
    where = data_dir.absolute()
    action = "Change its owner with chown -R, or use another folder with --data-dir."
    if where.exists() and not where.is_dir():
        return failed("data_dir", f"{where} is not a folder", action)
    folder = _nearest(where)
    if not os.access(folder, os.W_OK | os.X_OK):
        return failed("data_dir", f"{folder} cannot be written to", action)
    return ok("data_dir", str(where) if where.exists() else f"{where} (made at the first start)")


def check_disk(data_dir: Path) -> Check:
    free = shutil.disk_usage(_nearest(data_dir.absolute())).free
    detail = f"{free / _GIGABYTE:.1f} GB free"
    if free < _TOO_LITTLE_BYTES:
        return failed("disk", detail, "Free some space: a full disk stops the ledger.")
    if free < _TIGHT_BYTES:
        return warning("disk", detail, "Free some space soon.")
    return ok("disk", detail)


def _nearest(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return path if path.exists() else _nearest(path.parent)
