"""What is left of the embedded servers when their owner is killed, and how they start again afterwards."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from temporalio.client import Client, WorkflowExecutionStatus

from alphapanda.stack import EmbeddedStack, StackEndpoints, StackStartError, read_endpoints
from alphapanda.stack.parent import PARENT_PID_VARIABLE, death_signal_hook
from alphapanda.stack.postgres_files import clear_stale_pid

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

ROOT = Path(__file__).resolve().parents[2]

OWNER = """
import asyncio, json, sys
from pathlib import Path
from alphapanda.stack import EmbeddedStack

async def main():
    async with EmbeddedStack(Path(sys.argv[1]), ui_port=0, durable=False) as stack:
        print(json.dumps(stack.pids()), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""

PARENT_OF_A_CHILD = """
import os, subprocess, sys, time
from alphapanda.stack.process import PARENT_PID_VARIABLE
child = '''
import os, time
from alphapanda.stack.process import PARENT_PID_VARIABLE, die_with_parent
die_with_parent()
assert PARENT_PID_VARIABLE not in os.environ
print(os.getpid(), flush=True)
time.sleep(600)
'''
environment = {**os.environ, PARENT_PID_VARIABLE: str(os.getpid())}
subprocess.Popen([sys.executable, "-c", child], env=environment, start_new_session=True)
time.sleep(600)
"""

PARENT_WITH_A_GUARD = """
import signal, subprocess, time
from alphapanda.stack.parent import start_guard
child = subprocess.Popen(["sleep", "600"], start_new_session=True)
start_guard(child.pid, signal.SIGKILL)
print(child.pid, flush=True)
time.sleep(600)
"""


@contextmanager
def _running(program: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=death_signal_hook(signal.SIGKILL),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _first_line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def _alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"  # a zombie waits for an init that may never come


def _await_gone(pids: set[int], deadline_seconds: float = 20.0) -> None:
    deadline = time.monotonic() + deadline_seconds
    while alive := {pid for pid in pids if _alive(pid)}:
        assert time.monotonic() < deadline, f"still running: {alive}"
        time.sleep(0.02)


def _descendants(pid: int) -> set[int]:
    children = {int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    return children | {deeper for child in children for deeper in _descendants(child)}


def _endpoints(data_dir: Path) -> StackEndpoints:
    found = read_endpoints(data_dir)
    assert found is not None
    return found


async def _query(endpoints: StackEndpoints, statement: str) -> object:
    """The first value of the first row; committed."""
    assert endpoints.database_url is not None
    engine = create_async_engine(endpoints.database_url)
    try:
        async with engine.begin() as connection:
            result = await connection.execute(text(statement))
            return result.scalar_one() if result.returns_rows else None
    finally:
        await engine.dispose()


async def test_killing_the_owner_leaves_no_server_and_loses_nothing(tmp_path: Path) -> None:
    with _running(OWNER, str(tmp_path)) as owner:
        servers = json.loads(_first_line(owner))
        before = _endpoints(tmp_path)
        await _query(before, "CREATE TABLE acknowledged (value integer)")
        await _query(before, "INSERT INTO acknowledged VALUES (7)")
        assert before.temporal_address is not None
        client = await Client.connect(before.temporal_address)
        await client.start_workflow("Unserved", id="acknowledged", task_queue="nobody")
        everything = _descendants(owner.pid)
        assert everything >= set(servers.values())
        left_behind = [link.readlink() for link in (tmp_path / "run").iterdir() if link.is_symlink()]
        assert left_behind

        owner.send_signal(signal.SIGKILL)
        owner.wait()
        _await_gone(everything)

    assert read_endpoints(tmp_path) is None
    async with EmbeddedStack(tmp_path, ui_port=None, durable=False) as again:
        assert await _query(again.endpoints, "SELECT value FROM acknowledged") == 7
        assert again.endpoints.temporal_address is not None
        client = await Client.connect(again.endpoints.temporal_address)
        found = await client.get_workflow_handle("acknowledged").describe()
        assert found.status is WorkflowExecutionStatus.RUNNING
    assert not [folder for folder in left_behind if folder.exists()]


async def test_a_pid_file_that_names_some_other_living_process_does_not_stop_postgres(tmp_path: Path) -> None:
    with _running(OWNER, str(tmp_path)) as owner:
        _first_line(owner)
        everything = _descendants(owner.pid)
        pid_file = (tmp_path / "postgres" / "postmaster.pid").read_text()
        owner.kill()
        owner.wait()
        _await_gone(everything)
    stale = tmp_path / "postgres" / "postmaster.pid"
    stale.write_text("\n".join([str(os.getpid()), *pid_file.splitlines()[1:]]) + "\n")
    stale.chmod(0o600)
    async with EmbeddedStack(tmp_path, valkey=False, temporal=False, ui_port=None, durable=False) as again:
        assert await _query(again.endpoints, "SELECT 1") == 1


async def test_an_initialisation_cut_short_starts_over(tmp_path: Path) -> None:
    half_made = tmp_path / "postgres.new"
    half_made.mkdir()
    (half_made / "PG_VERSION").write_text("18\n")
    async with EmbeddedStack(tmp_path, valkey=False, temporal=False, ui_port=None, durable=False) as stack:
        assert await _query(stack.endpoints, "SELECT current_database()") == "alphapanda"
    assert not half_made.exists()


async def test_a_live_postgres_on_the_same_data_is_not_stepped_on(tmp_path: Path) -> None:
    async with EmbeddedStack(tmp_path, valkey=False, temporal=False, ui_port=None, durable=False) as stack:
        pid = stack.pids()["postgres"]
        with pytest.raises(StackStartError, match=f"pid {pid}"):
            await clear_stale_pid(tmp_path / "postgres", wait_seconds=0)
        assert (tmp_path / "postgres" / "postmaster.pid").exists()


def test_a_child_of_ours_dies_with_its_parent() -> None:
    with _running(PARENT_OF_A_CHILD) as parent:
        child = int(_first_line(parent))
        assert _alive(child)
        parent.kill()
        parent.wait()
        _await_gone({child})


def test_a_child_whose_parent_is_already_gone_does_not_start() -> None:
    program = "from alphapanda.stack.process import die_with_parent; die_with_parent(); print('went on')"
    environment = {**os.environ, PARENT_PID_VARIABLE: "1"}
    child = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert child.returncode == 1
    assert child.stdout == ""
    assert "already gone" in child.stderr


def test_a_process_started_by_hand_is_tied_to_nobody() -> None:
    program = "from alphapanda.stack.process import die_with_parent; die_with_parent(); print('went on')"
    environment = {name: value for name, value in os.environ.items() if name != PARENT_PID_VARIABLE}
    child = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert child.stdout == "went on\n"


def test_the_pipe_guard_ends_a_server_whose_owner_was_killed() -> None:
    with _running(PARENT_WITH_A_GUARD) as parent:
        server = int(_first_line(parent))
        everything = _descendants(parent.pid)
        assert server in everything
        parent.kill()
        parent.wait()
        _await_gone(everything)


async def test_ctrl_c_stops_the_stack_cleanly(tmp_path: Path) -> None:
    with _running(OWNER, str(tmp_path)) as owner:
        servers = json.loads(_first_line(owner))
        owner.send_signal(signal.SIGINT)
        await asyncio.to_thread(owner.wait, 30)
        assert not [pid for pid in servers.values() if _alive(pid)]
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["lock"]
    assert not (tmp_path / "postgres" / "postmaster.pid").exists()
