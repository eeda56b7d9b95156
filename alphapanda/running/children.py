"""One child process, kept alive: started, started again with back-off when it dies, drained and ended when told.

It never outlives us: the kernel kills it with our process (see `alphapanda.stack.parent`). It has a session of its
own, so that Ctrl-C reaches us alone and children end in the order we choose.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from alphapanda.running.logfiles import last_lines, open_log
from alphapanda.stack.parent import PARENT_PID_VARIABLE, death_signal_hook

_POLL_S = 0.05
_CANNOT_START = 127


@dataclass(frozen=True)
class Child:
    """What to keep running. `log` None: it writes where we write. `may_finish`: status 0 ends it for good.

    `drain_s` is how long it may finish what is under way after SIGTERM before it is killed. `environment` comes over
    ours, however a variable is spelled there.
    """

    name: str
    argv: tuple[str, ...]
    log: Path | None = None
    drain_s: float = 30.0
    may_finish: bool = False
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Backoff:
    """Delays double from `first_s` to `longest_s`; a life of `steady_s` or more starts over."""

    first_s: float = 0.5
    longest_s: float = 30.0
    steady_s: float = 30.0
    alarm_after: int = 5

    def delay_s(self, quick_deaths: int) -> float:
        return min(self.longest_s, self.first_s * 2.0 ** min(quick_deaths - 1, 32))


class Turn(StrEnum):
    """What happened to a child."""

    STARTED = "started"
    DIED = "died"
    FINISHED = "finished"
    STOPPED = "stopped"
    KILLED = "killed"
    """It did not end within `drain_s`."""


@dataclass(frozen=True)
class Notice:
    """`status` is the exit status (negative: the signal). Of a death: how many quick ones in a row, when it is started
    again, and the last line it wrote to its log."""

    child: Child
    turn: Turn
    pid: int | None = None
    status: int | None = None
    quick_deaths: int = 0
    restart_in_s: float = 0.0
    is_alarming: bool = False
    last_words: str = ""


Notify = Callable[[Notice], None]


class SupervisedChild:
    """Run `run` once, from the thread that lives as long as the process: on Linux the child dies with that thread."""

    def __init__(self, child: Child, backoff: Backoff, notify: Notify) -> None:
        self.child = child
        self._backoff = backoff
        self._notify = notify
        self._stopping = asyncio.Event()
        self._killing = False
        self._process: subprocess.Popen[bytes] | None = None

    async def run(self) -> None:
        """Until it finished (where it may) or `stop` was called; nothing of it is left then."""
        quick_deaths = 0
        try:
            while not self._stopping.is_set():
                began = time.monotonic()
                status, pid, trouble = await self._live()
                if self._stopping.is_set():
                    self._notify(Notice(self.child, Turn.KILLED if self._killing else Turn.STOPPED, pid, status))
                    return
                if status == 0 and self.child.may_finish:
                    self._notify(Notice(self.child, Turn.FINISHED, pid, status))
                    return
                is_quick = time.monotonic() - began < self._backoff.steady_s
                quick_deaths = quick_deaths + 1 if is_quick else 1
                await self._pause(status, pid, quick_deaths, trouble)
        finally:
            self.kill()

    def stop(self) -> None:
        """Ask it to end; `run` returns when it has."""
        self._stopping.set()

    def kill(self) -> None:
        """End it this instant, with what it started in its session."""
        self._stopping.set()
        process = self._process
        if process is not None and process.poll() is None:
            self._killing = True
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def crash(self) -> bool:
        """SIGKILL to the process alone: it has died, and is started again. False where none runs now."""
        process = self._process
        if process is None or process.poll() is not None:
            return False
        process.send_signal(signal.SIGKILL)
        return True

    async def _live(self) -> tuple[int, int | None, str]:
        """One life: exit status, process id, and why it could not even start."""
        try:
            process = self._process = spawn(self.child)
        except OSError as error:
            return _CANNOT_START, None, str(error)
        self._notify(Notice(self.child, Turn.STARTED, process.pid))
        while process.poll() is None and not self._stopping.is_set():
            await asyncio.sleep(_POLL_S)
        if process.poll() is None:
            process.terminate()
            deadline = time.monotonic() + self.child.drain_s
            while process.poll() is None and time.monotonic() < deadline:
                await asyncio.sleep(_POLL_S)
            self.kill()
        return process.wait(), process.pid, ""

    async def _pause(self, status: int, pid: int | None, quick_deaths: int, trouble: str) -> None:
        delay_s = self._backoff.delay_s(quick_deaths)
        words = trouble or next(iter(last_lines(self.child.log, 1) if self.child.log else ()), "")
        self._notify(
            Notice(
                self.child,
                Turn.DIED,
                pid,
                status,
                quick_deaths,
                delay_s,
                is_alarming=quick_deaths >= self._backoff.alarm_after,
                last_words=words.strip(),
            )
        )
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), delay_s)


def spawn(child: Child) -> "subprocess.Popen[bytes]":
    """Start it once, tied to the life of our process. Raises OSError where it cannot be started."""
    ours = {name: value for name, value in os.environ.items() if name.upper() not in child.environment}
    environment = {**ours, **child.environment, PARENT_PID_VARIABLE: str(os.getpid())}
    with contextlib.ExitStack() as opened, warnings.catch_warnings():
        # Python 3.12 warns that a forked child of a threaded process may deadlock. The hook takes no lock.
        warnings.simplefilter("ignore", DeprecationWarning)
        output = opened.enter_context(open_log(child.log)) if child.log else None
        return subprocess.Popen(
            child.argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            env=environment,
            start_new_session=True,
            preexec_fn=death_signal_hook(signal.SIGKILL),  # noqa: PLW1509
        )


def module(name: str, *arguments: str) -> tuple[str, ...]:
    """The command line of one of our modules, `-P`: a folder named `api` where one happens to stand is not ours."""
    return (sys.executable, "-P", "-m", name, *arguments)
