"""Children kept alive: real processes that die, hang, finish and ignore what they are told."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from alphapanda.running.children import Backoff, Child, Notice, Turn
from alphapanda.running.logfiles import LIMIT_BYTES, LogFollower, last_lines, open_log
from alphapanda.running.supervisor import Supervisor

QUICK = Backoff(first_s=0.01, longest_s=0.04, steady_s=60.0, alarm_after=3)

SERVES = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(0)); print('up', flush=True); time.sleep(600)"
DIES = "import sys; print('cannot find my teeth', flush=True); sys.exit(7)"
FINISHES = "pass"
IGNORES_SIGTERM = (
    "import signal, sys, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True)\nwhile True: time.sleep(600)"
)


class Notices:
    def __init__(self) -> None:
        self.all: list[Notice] = []
        self._changed = asyncio.Event()

    def __call__(self, notice: Notice) -> None:
        self.all.append(notice)
        self._changed.set()

    def of(self, turn: Turn) -> list[Notice]:
        return [notice for notice in self.all if notice.turn is turn]

    async def until(self, turn: Turn, count: int = 1) -> list[Notice]:
        async with asyncio.timeout(30):
            while len(self.of(turn)) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.of(turn)


def _child(tmp_path: Path, program: str, name: str = "one", **options: object) -> Child:
    return Child(name, (sys.executable, "-c", program), tmp_path / f"{name}.log", **options)  # type: ignore[arg-type]


async def _says(path: Path, text: str) -> None:
    async with asyncio.timeout(30):
        while text not in "\n".join(last_lines(path, 10)):
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def _supervised(*children: Child, backoff: Backoff = QUICK) -> AsyncIterator[tuple[Supervisor, Notices]]:
    notices = Notices()
    async with Supervisor(children, notify=notices, backoff=backoff) as supervisor:
        yield supervisor, notices


def _alive(pid: int | None) -> bool:
    assert pid is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_child_that_was_killed_is_started_again(tmp_path: Path) -> None:
    async with _supervised(_child(tmp_path, SERVES)) as (_, notices):
        [first] = await notices.until(Turn.STARTED)
        assert first.pid is not None
        os.kill(first.pid, signal.SIGKILL)
        _, second = await notices.until(Turn.STARTED, 2)
        [death] = notices.of(Turn.DIED)
        assert (death.status, death.quick_deaths, death.pid) == (-signal.SIGKILL, 1, first.pid)
        assert second.pid != first.pid


async def test_a_child_dies_on_request_and_is_started_again(tmp_path: Path) -> None:
    async with _supervised(_child(tmp_path, SERVES)) as (supervisor, notices):
        [first] = await notices.until(Turn.STARTED)
        assert not supervisor.crash("another")
        assert supervisor.crash("one")
        _, second = await notices.until(Turn.STARTED, 2)
        [death] = notices.of(Turn.DIED)
        assert (death.status, death.pid) == (-signal.SIGKILL, first.pid)
        assert second.pid != first.pid


async def test_a_child_that_keeps_dying_is_tried_for_ever_with_a_capped_delay_and_it_says_so(tmp_path: Path) -> None:
    async with _supervised(_child(tmp_path, DIES)) as (_, notices):
        deaths = await notices.until(Turn.DIED, 5)
    assert [death.restart_in_s for death in deaths[:5]] == [0.01, 0.02, 0.04, 0.04, 0.04]
    assert [death.is_alarming for death in deaths[:5]] == [False, False, True, True, True]
    assert {(death.status, death.last_words) for death in deaths} == {(7, "cannot find my teeth")}


async def test_a_long_life_starts_the_delays_over(tmp_path: Path) -> None:
    every_life_is_long = Backoff(first_s=0.01, longest_s=1.0, steady_s=0.0)
    async with _supervised(_child(tmp_path, DIES), backoff=every_life_is_long) as (_, notices):
        deaths = await notices.until(Turn.DIED, 3)
    assert {death.restart_in_s for death in deaths} == {0.01}


async def test_a_program_that_cannot_be_started_is_tried_again_and_named(tmp_path: Path) -> None:
    async with _supervised(Child("one", (str(tmp_path / "absent"),))) as (_, notices):
        death, *_ = await notices.until(Turn.DIED, 2)
    assert death.status == 127
    assert "absent" in death.last_words


async def test_what_may_finish_is_not_started_again(tmp_path: Path) -> None:
    async with _supervised(_child(tmp_path, FINISHES, may_finish=True)) as (supervisor, notices):
        async with asyncio.timeout(30):
            await supervisor.until_all_finished()
    assert [notice.turn for notice in notices.all] == [Turn.STARTED, Turn.FINISHED]


async def test_what_may_not_finish_is_started_again_whatever_its_status(tmp_path: Path) -> None:
    async with _supervised(_child(tmp_path, FINISHES)) as (_, notices):
        deaths = await notices.until(Turn.DIED, 2)
    assert deaths[0].status == 0


async def test_stopping_drains_the_named_children_first_and_leaves_the_others_running(tmp_path: Path) -> None:
    children = [_child(tmp_path, SERVES, name) for name in ("feed", "orders")]
    async with _supervised(*children) as (supervisor, notices):
        for name in ("feed", "orders"):
            await _says(tmp_path / f"{name}.log", "up")
        await supervisor.stop("feed")
        [stopped] = notices.of(Turn.STOPPED)
        assert (stopped.child.name, stopped.status) == ("feed", 0)
        [other] = [notice for notice in notices.of(Turn.STARTED) if notice.child.name == "orders"]
        assert _alive(other.pid)
    assert [notice.child.name for notice in notices.of(Turn.STOPPED)] == ["feed", "orders"]
    assert not _alive(other.pid)


async def test_a_child_that_does_not_drain_in_time_is_killed(tmp_path: Path) -> None:
    async with _supervised(_child(tmp_path, IGNORES_SIGTERM, drain_s=0.1)) as (supervisor, notices):
        await _says(tmp_path / "one.log", "up")
        await supervisor.stop()
    [killed] = notices.of(Turn.KILLED)
    assert killed.status == -signal.SIGKILL


async def test_killing_does_not_wait_for_the_drain(tmp_path: Path) -> None:
    async with _supervised(_child(tmp_path, IGNORES_SIGTERM, drain_s=3600)) as (supervisor, notices):
        await _says(tmp_path / "one.log", "up")
        stopping = asyncio.create_task(supervisor.stop())
        await asyncio.sleep(0)
        supervisor.kill()
        async with asyncio.timeout(30):
            await stopping
    assert len(notices.of(Turn.KILLED)) == 1


async def test_stopping_does_not_wait_for_the_back_off(tmp_path: Path) -> None:
    long = Backoff(first_s=3600.0, longest_s=3600.0)
    async with _supervised(_child(tmp_path, DIES), backoff=long) as (supervisor, notices):
        await notices.until(Turn.DIED)
        async with asyncio.timeout(30):
            await supervisor.stop()


async def test_children_do_not_get_our_ctrl_c(tmp_path: Path) -> None:
    program = "import os, sys; print(os.getsid(0) == os.getpid(), flush=True)"
    async with _supervised(_child(tmp_path, program, may_finish=True)) as (supervisor, _):
        await supervisor.until_all_finished()
    assert last_lines(tmp_path / "one.log", 1) == ["True"]


def test_a_follower_gets_whole_lines_also_after_the_log_was_cut(tmp_path: Path) -> None:
    log = tmp_path / "one.log"
    log.write_text("before\n")
    follower = LogFollower(log)
    with open_log(log) as file:
        file.write(b"first\nsec")
        file.flush()
        assert list(follower.new_lines()) == ["first"]
        file.write(b"ond\n")
        file.flush()
        assert list(follower.new_lines()) == ["second"]
        log.write_text("new\n")
        assert list(follower.new_lines()) == ["new"]


def test_a_log_past_its_limit_is_put_aside_at_the_next_start(tmp_path: Path) -> None:
    log = tmp_path / "one.log"
    with log.open("wb") as file:
        file.truncate(LIMIT_BYTES + 1)
    open_log(log).close()
    assert log.stat().st_size == 0
    assert (tmp_path / "one.log.1").stat().st_size == LIMIT_BYTES + 1


def test_a_log_that_outgrows_its_limit_while_it_is_followed_is_cut(tmp_path: Path) -> None:
    log = tmp_path / "one.log"
    follower = LogFollower(log)
    with open_log(log) as file:
        file.write(b"x" * 999 + b"\n")
        file.truncate(LIMIT_BYTES)
        file.seek(0, os.SEEK_END)
        file.write(b"\nlast\n")
        file.flush()
        while log.stat().st_size:
            list(follower.new_lines())
        file.write(b"goes on\n")
        file.flush()
        assert list(follower.new_lines()) == ["goes on"]


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's death signal")
async def test_children_die_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    program = f"""
import asyncio, sys
from pathlib import Path
from alphapanda.running.children import Child
from alphapanda.running.supervisor import Supervisor
child = Child("one", (sys.executable, "-c", {SERVES!r}), Path({str(tmp_path / "one.log")!r}))
async def main():
    async with Supervisor([child], notify=lambda notice: print(notice.pid, flush=True)):
        await asyncio.Event().wait()
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    pid = int(await process.stdout.readline())
    await _says(tmp_path / "one.log", "up")
    process.kill()
    await process.wait()
    async with asyncio.timeout(30):
        while _alive_and_no_zombie(pid):
            await asyncio.sleep(0.01)


def _alive_and_no_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
