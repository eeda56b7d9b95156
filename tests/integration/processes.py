"""Our programs as processes of their own, for tests that start, kill and question them."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from alphapanda.stack.parent import death_signal_hook

DEADLINE_S = 120.0
ENDS_WITH_US = death_signal_hook(signal.SIGKILL)
"""A killed test run leaves no desk behind."""


def environment(**settings: str) -> dict[str, str]:
    """Ours without any setting but the given ones (`API__PORT="0"`)."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ALPHAPANDA_")}
    return {**kept, **{f"ALPHAPANDA_{name}": value for name, value in settings.items()}}


def command(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-P", "-m", module, *arguments]


class Program:
    """A running program; its output is in the file `said`."""

    def __init__(self, argv: list[str], said: Path, variables: dict[str, str]) -> None:
        self._said = said
        with said.open("ab") as output:
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=variables,
                cwd=said.parent,
                preexec_fn=ENDS_WITH_US,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def output(self) -> str:
        return self._said.read_text()

    def until_it_says(self, text: str) -> str:
        """Its output, once it has said `text`; fails if it ended before."""

        def has_said() -> bool:
            if text in self.output():
                return True
            assert self.process.poll() is None, f"it ended with status {self.process.returncode}:\n{self.output()}"
            return False

        until(has_said, self.output)
        return self.output()

    def ended(self) -> int:
        return self.process.wait(DEADLINE_S)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.ended()


@contextlib.contextmanager
def running(argv: list[str], said: Path, variables: dict[str, str]) -> Iterator[Program]:
    program = Program(argv, said, variables)
    try:
        yield program
    finally:
        if program.process.poll() is None:
            program.process.kill()
        program.process.wait()


def until(condition: Callable[[], bool], state: Callable[[], object] = lambda: "") -> None:
    """Polls up to the deadline; fails with `state`."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"it did not come about in {DEADLINE_S:.0f} s: {state()}"
        time.sleep(0.05)


def ask(*arguments: str, variables: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """`alphapanda …` to its end."""
    return subprocess.run(
        command("alphapanda.cli", *arguments),
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )


def ask_json(*arguments: str, variables: dict[str, str]) -> Any:
    answer = ask(*arguments, "--json", variables=variables)
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def descendants(pid: int) -> dict[int, str]:
    """The command lines of all processes below `pid`, by process id. Linux only."""
    found: dict[int, str] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in map(int, (task / "children").read_text().split()):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found[child] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
                found |= descendants(child)
    return found


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until_gone(pids: "set[int] | dict[int, str]") -> None:
    until(lambda: not any(map(is_alive, pids)), lambda: [pid for pid in pids if is_alive(pid)])
