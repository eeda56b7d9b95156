"""Folders of the embedded servers: private ones in the data directory, short ones for their sockets.

A Unix socket's path may have about 100 bytes, which a data directory easily exceeds, so sockets live in a short
temporary folder. `<data dir>/run/<name>` links to it: after a SIGKILL the next start finds and removes it.
"""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

_PREFIX = "ap-"
_LONGEST_PARENT = 60  # leaves room for the folder and `/.s.PGSQL.5432.lock` below the smallest limit (104, macOS)


@dataclass(frozen=True)
class ServerUser:
    """The account a server runs as when it is not ours."""

    uid: int
    gid: int


def make_private(folder: Path, owner: ServerUser | None = None) -> Path:
    """Creates `folder` (mode 0700, given to `owner`) where it is missing; one that is there is left as it is,
    for the data directory is a person's choice and may name a folder that others use too."""
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        return folder
    if owner is not None:
        os.chown(folder, owner.uid, owner.gid)
    return folder


def make_short(data_dir: Path, name: str, owner: ServerUser | None = None, mode: int = 0o700) -> Path:
    """A new folder with a short path, remembered as `<data_dir>/run/<name>`; a forgotten one of before is removed."""
    remove_short(data_dir, name)
    base = tempfile.gettempdir()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base if len(base) <= _LONGEST_PARENT else "/tmp"))  # noqa: S108
    link = data_dir / "run" / name
    try:
        link.symlink_to(folder)
        if owner is not None:
            os.chown(folder, owner.uid, owner.gid)
        folder.chmod(mode)
    except BaseException:
        remove_short(data_dir, name)
        folder.rmdir()
        raise
    return folder


def remove_short(data_dir: Path, name: str) -> None:
    """Removes the folder made by `make_short`; safe to repeat."""
    link = data_dir / "run" / name
    if not link.is_symlink():
        return
    folder = link.readlink()
    # The link is all we know of a folder from an earlier run: never follow it to anything we could not have made.
    if folder.name.startswith(_PREFIX) and folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)
    link.unlink()


def remove_all_short(data_dir: Path) -> None:
    """Removes what a killed owner of this data directory left behind."""
    for link in (data_dir / "run").iterdir():
        remove_short(data_dir, link.name)


def reachable_by(user: ServerUser, path: Path) -> bool:
    """Whether `user` may read and enter `path` and enter every folder above it."""
    path = path.resolve()
    return all(_permits(user, step, 0o5 if step == path else 0o1) for step in (path, *path.parents))


def _permits(user: ServerUser, path: Path, wanted: int) -> bool:
    info = path.stat()
    if info.st_uid == user.uid:
        granted = info.st_mode >> 6
    elif info.st_gid == user.gid:
        granted = info.st_mode >> 3
    else:
        granted = info.st_mode
    return granted & wanted == wanted
