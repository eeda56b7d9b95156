"""What a person sees while the desk starts and runs: a moving line on a terminal, plain lines anywhere else."""

import sys
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.text import Text

from alphapanda.running.children import Notice, Turn
from alphapanda.running.desk import Whereabouts

_LINES_AT_ONCE = 5
_WIDE = 220


class Screen:
    """`with Screen() as screen:` shows progress until `settled` is called."""

    def __init__(self) -> None:
        self._console = Console(file=sys.stdout, highlight=False, soft_wrap=True)
        self._status = self._console.status("starting")
        self._starting: dict[str, None] = {}
        self._last_wait = ""

    def __enter__(self) -> Self:
        self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._status.stop()

    def settled(self) -> None:
        """No more progress to show."""
        self._status.stop()

    def part(self, name: str, message: str) -> None:
        """A part of the desk begins (`starting`) or has something to tell."""
        if message == "starting":
            self._starting[name] = None
        else:
            self._starting.pop(name, None)
            self._print(f"  {name:<11} {message}")
        self._status.update(Text(f"starting {', '.join(self._starting)}" if self._starting else "starting"))

    def waiting_for(self, parts: list[str]) -> None:
        text = f"waiting for {', '.join(parts)}"
        if self._console.is_terminal:
            self._status.update(Text(text))
        elif text != self._last_wait:
            self._print(f"  {text}")
        self._last_wait = text

    def notice(self, notice: Notice) -> None:
        name = notice.child.name
        match notice.turn:
            case Turn.STARTED:
                self._print(f"  {name} is running again (pid {notice.pid})")
            case Turn.FINISHED:
                self._print(f"  {name} has finished")
            case Turn.STOPPED:
                self._print(f"  {name} stopped")
            case Turn.KILLED:
                self._print(f"  {name} was killed: it did not end in time", style="yellow")
            case Turn.DIED:
                again = f"starting it again in {notice.restart_in_s:g} s"
                if notice.is_alarming:
                    again = f"it keeps dying ({notice.quick_deaths} times in a row); {again}"
                told = f": {notice.last_words}" if notice.last_words else ""
                self._print(f"  {name} ended with status {notice.status}{told}; {again}", style="yellow")

    def log_lines(self, name: str, lines: list[str]) -> None:
        """Warnings and errors of a child, shortened: its log has them whole."""
        for line in lines[:_LINES_AT_ONCE]:
            width = self._console.width if self._console.is_terminal else _WIDE
            self._print(_short(f"  {name} | {line}", width), style="dim")
        if len(lines) > _LINES_AT_ONCE:
            self._print(f"  {name} | … and {len(lines) - _LINES_AT_ONCE} more in its log", style="dim")

    def say(self, text: str) -> None:
        self._print(text)

    def ready(self, where: Whereabouts, *, token: str | None, token_place: str, seconds: float) -> None:
        """`token` None: it is not to be shown."""
        self.settled()
        self._print(f"\nalphapanda is ready ({seconds:.1f} s)", style="bold")
        self._print(f"  API              {where.api_url}/api/v1")
        self._print(f"  API docs         {where.api_url}/docs")
        if where.temporal_ui_url:
            self._print(f"  Temporal web UI  {where.temporal_ui_url}")
        if where.simulator_url:
            self._print(f"  Kite simulator   {where.simulator_url}  (log in: alphapanda login --broker zerodha)")
        self._print(f"  Admin token      {f'{token}  ({token_place})' if token else token_place}")
        self._print("Ctrl-C stops it; `alphapanda orders` lists the orders, `alphapanda doctor` checks every part.\n")

    def _print(self, text: str, *, style: str = "") -> None:
        self._console.print(Text(text, style=style))


def _short(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
