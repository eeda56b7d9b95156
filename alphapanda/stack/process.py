"""One server as a child process: started in its own session, ready or refused by a deadline, stopped gently.

Its own session keeps Ctrl-C away from it (the workers must drain before Postgres goes); the tie to the parent
(see `parent`) is what ends it when we are killed. Its output goes to a log file, whose last lines explain a failure.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from alphapanda.stack.errors import StackStartError
from alphapanda.stack.folders import ServerUser
from alphapanda.stack.parent import PARENT_PID_VARIABLE, death_signal_hook, die_with_parent, start_guard

__all__ = ["PARENT_PID_VARIABLE", "Command", "ServerProcess", "die_with_parent", "run_to_end"]

_POLL_SECONDS = 0.01
_PROBE_SECONDS = 2.0
_TAIL_BYTES = 4_000
_TAIL_LINES = 15
_LOG_LIMIT_BYTES = 10_000_000


@dataclass(frozen=True)
class Command:
    """What to run. `log` is appended to; `user` None means ours; `death_signal` is sent when our process ends."""

    component: str
    argv: Sequence[str | Path]
    cwd: Path
    log: Path
    user: ServerUser | None = None
    death_signal: signal.Signals = signal.SIGKILL


class ServerProcess:
    """A running server. Make it from the thread that lives as long as the process (see `parent`)."""

    def __init__(self, command: Command, *, guarded_by_pipe: bool = sys.platform != "linux") -> None:
        self._command = command
        self._log_start = _rotate(command.log)
        self._process = _spawn(command, subprocess.DEVNULL)
        self._guard = start_guard(self._process.pid, command.death_signal) if guarded_by_pipe else None

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.poll()

    def log_tail(self) -> str:
        """The last lines it wrote since this start."""
        return _tail(self._command.log, self._log_start)

    async def until_ready(self, is_ready: Callable[[], Awaitable[bool]], *, deadline_seconds: float) -> None:
        """Waits until `is_ready` holds (an OSError from it means "not yet"); else kills the server and raises."""
        deadline = time.monotonic() + deadline_seconds
        try:
            while not await _holds(is_ready):
                if self.returncode is not None:
                    raise self._refusal(f"ended with status {self.returncode} before it was ready")
                if time.monotonic() > deadline:
                    raise self._refusal(f"was not ready within {deadline_seconds:.0f} s")
                await asyncio.sleep(_POLL_SECONDS)
        except BaseException:
            await self.stop(signal.SIGKILL, grace_seconds=0)
            raise

    async def stop(self, signum: signal.Signals = signal.SIGTERM, *, grace_seconds: float = 10.0) -> None:
        """Asks with `signum`, waits, then kills. Safe to repeat."""
        if self.returncode is None:
            self._process.send_signal(signum)
            deadline = time.monotonic() + grace_seconds
            while self.returncode is None and time.monotonic() < deadline:
                await asyncio.sleep(_POLL_SECONDS)
            _kill_session(self._process)
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()
            self._guard = None

    def _refusal(self, reason: str) -> StackStartError:
        return StackStartError(
            self._command.component,
            reason,
            next_action=f"Read what it said; the whole log is {self._command.log}.",
            log_tail=self.log_tail(),
        )


async def run_to_end(command: Command, *, stdin: bytes = b"", deadline_seconds: float = 60.0) -> None:
    """Runs a helper program of a server (initdb) to its end; raises StackStartError unless it succeeds."""
    log_start = _rotate(command.log)
    with tempfile.TemporaryFile() as source:
        source.write(stdin)
        source.seek(0)
        process = _spawn(command, source.fileno())
    deadline = time.monotonic() + deadline_seconds
    try:
        while process.poll() is None and time.monotonic() < deadline:
            await asyncio.sleep(_POLL_SECONDS)
    finally:
        _kill_session(process)
    if process.returncode != 0:
        program = Path(command.argv[0]).name
        raise StackStartError(
            command.component,
            f"{program} ended with status {process.returncode}",
            next_action=f"Read what it said; the whole log is {command.log}.",
            log_tail=_tail(command.log, log_start),
        )


def _spawn(command: Command, stdin: int) -> "subprocess.Popen[bytes]":
    user = command.user
    try:
        with command.log.open("ab") as log, warnings.catch_warnings():
            # Python 3.12 warns that a forked child of a threaded process may deadlock. The hook takes no lock.
            warnings.simplefilter("ignore", DeprecationWarning)
            return subprocess.Popen(
                [os.fspath(part) for part in command.argv],
                stdin=stdin,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=command.cwd,
                env=_environment(command.cwd),
                start_new_session=True,
                user=user.uid if user else None,
                group=user.gid if user else None,
                extra_groups=[] if user else None,
                preexec_fn=death_signal_hook(command.death_signal),  # noqa: PLW1509
            )
    except (OSError, subprocess.SubprocessError) as error:
        raise StackStartError(
            command.component,
            f"{Path(command.argv[0])} cannot be started: {error}",
            next_action="Check that the file exists and may be executed (a temporary folder mounted noexec? "
            "set TMPDIR), or reinstall with `make setup`.",
        ) from error


def _environment(home: Path) -> dict[str, str]:
    """Only what servers need: no secret of ours, no PG*, TEMPORAL_* or LD_* and no dotfile to bend their behaviour."""
    kept = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    return {**kept, "HOME": str(home), "LANG": "C", "LC_ALL": "C", "TZ": "UTC"}


async def _holds(is_ready: Callable[[], Awaitable[bool]]) -> bool:
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            return await is_ready()
    except OSError:  # TimeoutError is one
        return False


def _kill_session(process: "subprocess.Popen[bytes]") -> None:
    """Ends what is left of a child and of the processes it started in its session."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _rotate(log: Path) -> int:
    """Keeps a log bounded over many runs; returns the offset at which this run's lines begin."""
    size = log.stat().st_size if log.exists() else 0
    if size <= _LOG_LIMIT_BYTES:
        return size
    log.replace(log.with_suffix(".log.1"))
    return 0


def _tail(log: Path, start: int) -> str:
    with log.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(start, end - _TAIL_BYTES))
        text = file.read().decode(errors="replace")
    return "\n".join(text.strip().splitlines()[-_TAIL_LINES:])
