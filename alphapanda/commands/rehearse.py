"""`alphapanda rehearse`: a bad day on a desk of its own, and the verdict on it."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alphapanda.commands.common import print_json

if TYPE_CHECKING:
    from alphapanda.rehearsal.plan import Storm
    from alphapanda.rehearsal.tempo import Tempo
    from alphapanda.rehearsal.verdict import Aftermath, Verdict

_SHOWN = 20
_WIDE = 160

app = typer.Typer()


@app.command()
def rehearse(
    orders: Annotated[int, typer.Option(help="Signals of the storm.")] = 500,
    kills: Annotated[int, typer.Option(min=0, max=10, help="How often the broker's worker is killed.")] = 3,
    seed: Annotated[int, typer.Option(help="Of the script: the same seed and size give the same storm.")] = 7,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="An empty folder to keep (default: a temporary one).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the verdict as JSON.")] = False,
) -> None:
    """Put a whole desk through a storm at a simulated Zerodha, and compare both sets of books. Exit status 1: FAIL.

    Starts what it needs and leaves nothing running. Your own settings, desk and account have no part in it.
    """
    from alphapanda.rehearsal.storm import make_storm  # noqa: PLC0415 - slow to import
    from alphapanda.rehearsal.surroundings import settle_in  # noqa: PLC0415
    from alphapanda.rehearsal.tempo import Tempo  # noqa: PLC0415
    from alphapanda.stack.parent import die_with_parent  # noqa: PLC0415

    die_with_parent(signal.SIGTERM)
    tempo = Tempo()
    storm = make_storm(orders=orders, kills=kills, seed=seed, tempo=tempo)
    where = data_dir.absolute() if data_dir else Path(tempfile.mkdtemp(prefix="alphapanda-rehearsal-"))
    came_from = Path.cwd()
    port = settle_in(where, tempo)
    say = _Teller(sys.stderr if as_json else sys.stdout).say
    _introduce(storm, tempo, where, say)
    began = time.monotonic()
    after, verdict = asyncio.run(_run(storm, port, say))
    seconds = time.monotonic() - began
    os.chdir(came_from)
    if data_dir is None and verdict.passed:
        shutil.rmtree(where)
    if as_json:
        print_json(_document(after, verdict, tempo, seconds, where if where.exists() else None))
    else:
        _show(after, verdict, seconds)
        if where.exists():
            typer.echo(f"everything is kept in {where}")
    if not verdict.passed:
        raise typer.Exit(1)


async def _run(storm: "Storm", port: int, say: Any) -> "tuple[Aftermath, Verdict]":
    from alphapanda.rehearsal.performance import perform  # noqa: PLC0415
    from alphapanda.rehearsal.verdict import judge  # noqa: PLC0415
    from alphapanda.running.stopping import StopRequest  # noqa: PLC0415
    from alphapanda.settings import Settings  # noqa: PLC0415

    stop = StopRequest()
    performing = asyncio.create_task(perform(storm, Settings.load(), simulator_port=port, say=say))
    asked = asyncio.create_task(stop.asked.wait())
    await asyncio.wait((performing, asked), return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if not performing.done():
        say("stopping")
        performing.cancel()
        await asyncio.gather(performing, return_exceptions=True)
        raise KeyboardInterrupt
    after = performing.result()
    return after, judge(after)


class _Teller:
    """Lines with the time since the beginning."""

    def __init__(self, output: Any) -> None:
        self._output = output
        self._began = time.monotonic()

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s  {text}", file=self._output, flush=True)


def _introduce(storm: "Storm", tempo: "Tempo", where: Path, say: Any) -> None:
    say(f"{len(storm.orders)} signals, {storm.kills} kills, seed {storm.seed}, in {where}")
    say("shortened, so that a bad day takes minutes:")
    for name, value in tempo.settings().items():
        say(f"    ALPHAPANDA_{name}={value}")


def _show(after: "Aftermath", verdict: "Verdict", seconds: float) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("", "found", "expected", "verdict"):
        table.add_column(heading, overflow="fold")
    for check in verdict.checks:
        ending = Text("ok", "green") if check.ok else Text("FAIL", "bold red")
        table.add_row(check.name, Text(check.found), Text(check.expected), ending)
    console.print()
    console.print(table)
    for check in verdict.checks:
        for line in check.evidence[:_SHOWN]:
            console.print(Text(f"  {check.name}: {line}"))
        if len(check.evidence) > _SHOWN:
            console.print(f"  {check.name}: … and {len(check.evidence) - _SHOWN} more (--json has them all)")
    for parked in after.conduct.parked.values():
        how = f"{parked.because}, resolved {parked.resolved.rpartition(' ')[2]}" if parked.resolved else "found later"
        console.print(f"  parked {parked.order_id}: {how}", style="dim")
    ending = Text("PASS", "bold green") if verdict.passed else Text("FAIL", "bold red")
    console.print(Text("\n").append(ending).append(f" in {seconds:.0f} s"))


def _document(
    after: "Aftermath", verdict: "Verdict", tempo: "Tempo", seconds: float, kept: Path | None
) -> dict[str, Any]:
    return {
        "verdict": "PASS" if verdict.passed else "FAIL",
        "orders": len(after.storm.orders),
        "kills": after.conduct.kills,
        "seed": after.storm.seed,
        "seconds": round(seconds, 1),
        "data_dir": None if kept is None else str(kept),
        "settings": {f"ALPHAPANDA_{name}": value for name, value in tempo.settings().items()},
        "checks": [
            {"name": check.name, "ok": check.ok, "found": check.found, "expected": check.expected,
             "evidence": list(check.evidence)}
            for check in verdict.checks
        ],
        "parked": [
            {"order_id": each.order_id, "resolved": each.resolved or None, "because": each.because or None}
            for each in after.conduct.parked.values()
        ],
        "faults": dict(after.broker.struck),
        "calls": dict(after.broker.requests),
    }  # fmt: skip
