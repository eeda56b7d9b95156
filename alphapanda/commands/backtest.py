"""`alphapanda backtest`: strategies on recorded prices in virtual time; no server runs and none is asked."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alphapanda.commands.common import print_json
from alphapanda.domain.errors import AlphaPandaError, InvalidValueError

if TYPE_CHECKING:
    from rich.console import Console

    from alphapanda.backtest.recordings import Recordings
    from alphapanda.backtest.sweep import Axis

_WIDE = 160

app = typer.Typer()


class ReportNotWritten(AlphaPandaError):  # noqa: N818 - named for the condition
    """The page cannot be written where it was asked for."""

    code = "BACKTEST_REPORT_NOT_WRITTEN"
    default_next_action = "Name a file in a folder that exists and may be written to."


@app.command()
def backtest(
    strategy: Annotated[list[str], typer.Option("--strategy", metavar="NAME", help="Repeat it for several.")],
    data: Annotated[
        list[Path], typer.Option("--data", metavar="DIR_OR_FILES…", help="Minute bars (SYMBOL.csv[.gz]) or ticks.")
    ],
    more: Annotated[list[Path] | None, typer.Argument(hidden=True)] = None,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", metavar="K=V", help="Of the strategy; of several, NAME.K=V. Repeat it for more."),
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write the report as a page.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print fills, orders, equity and summary.")] = False,
    sweep: Annotated[
        list[str] | None,
        typer.Option("--sweep", metavar="K=V1,V2,…", help="A run for each value; repeat it for a grid."),
    ] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Runs of a sweep at once (default: a core each).")] = None,
) -> None:
    """Run strategies over recordings in virtual time: the same risk rules, paper exchange and charges as the desk."""
    _writable(html)
    own = _params(strategy, param or ())
    paths = [*data, *(more or ())]
    if sweep:
        _sweep(strategy, own, _axes(strategy, sweep), paths, html=html, as_json=as_json, jobs=jobs)
    else:
        _backtest(strategy, own, paths, html=html, as_json=as_json)


def _backtest(
    names: list[str], params: dict[str, dict[str, Any]], paths: list[Path], *, html: Path | None, as_json: bool
) -> None:
    # What is slow to import waits until a backtest is really asked for.
    from rich.console import Console  # noqa: PLC0415

    from alphapanda.backtest.candles import Candles  # noqa: PLC0415
    from alphapanda.backtest.engine import Backtest  # noqa: PLC0415
    from alphapanda.backtest.page import page  # noqa: PLC0415
    from alphapanda.backtest.recordings import Recordings  # noqa: PLC0415
    from alphapanda.backtest.report import document  # noqa: PLC0415
    from alphapanda.backtest.setup import deployed, rules_of  # noqa: PLC0415
    from alphapanda.backtest.terminal import show  # noqa: PLC0415
    from alphapanda.logging import configure_logging  # noqa: PLC0415
    from alphapanda.settings import Settings  # noqa: PLC0415

    settings = Settings.load()
    configure_logging(settings, "backtest", stream=sys.stderr)
    deployments = deployed(names, params)
    recordings = Recordings(paths)
    rules = rules_of(settings)
    candles = Candles()
    run = Backtest(deployments, recordings.instruments, rules)
    ticks = recordings.ticks() if html is None else candles.watch(recordings.ticks())
    with _progress(Console(stderr=True), recordings) as tell:
        outcome = run.run(ticks, tell)
    report = document(outcome, deployments, recordings.instruments, rules)
    if html is not None:
        _write(html, page(report, candles.by_instrument))
    if as_json:
        print_json(report)
        return
    show(Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False), report)
    if html is not None:
        typer.echo(f"the report is in {html}")


def _sweep(
    names: list[str],
    params: dict[str, dict[str, Any]],
    axes: "list[Axis]",
    paths: list[Path],
    *,
    html: Path | None,
    as_json: bool,
    jobs: int | None,
) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    from alphapanda.backtest.sweep import sweep  # noqa: PLC0415
    from alphapanda.backtest.sweep_report import show_sweep, sweep_document, sweep_page  # noqa: PLC0415

    errors = Console(stderr=True)
    with Progress(console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("runs", total=None)
        runs = sweep(
            names,
            params,
            axes,
            paths,
            jobs=jobs or os.cpu_count() or 1,
            tell=lambda done, total: progress.update(task, completed=done, total=total),
        )
    if html is not None:
        _write(html, sweep_page(names, axes, runs))
    if as_json:
        print_json(sweep_document(axes, runs))
        return
    show_sweep(Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False), axes, runs)
    if html is not None:
        typer.echo(f"the report is in {html}")


def _axes(names: Sequence[str], given: Sequence[str]) -> "list[Axis]":
    """`fast=5,10,20` as an axis of the sweep, named like a parameter."""
    from alphapanda.backtest.sweep import Axis  # noqa: PLC0415

    axes: list[Axis] = []
    for item in given:
        owner, field, text = _named("sweep", names, item)
        label = item.partition("=")[0]
        values = tuple(value_of(part) for part in text.split(",") if part)
        if not values:
            raise InvalidValueError(f"sweep: {item!r} has no value; write it like fast=5,10,20")
        if label in [axis.label for axis in axes]:
            raise InvalidValueError(f"sweep: {label} is given twice")
        axes.append(Axis(label, owner, field, tuple(dict.fromkeys(values))))
    return axes


def _params(names: Sequence[str], given: Sequence[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {name: {} for name in names}
    for item in given:
        owner, field, text = _named("param", names, item)
        found[owner][field] = value_of(text)
    return found


def _named(option: str, names: Sequence[str], item: str) -> tuple[str, str, str]:
    """Strategy, parameter and text: `fast=10` of the only strategy, `sma-cross.fast=10` of one among several."""
    key, separator, text = item.partition("=")
    owner, _, field = key.rpartition(".")
    if not separator or not field:
        raise InvalidValueError(f"{option}: {item!r} must look like fast=10 (or sma-cross.fast=10)")
    if not owner and len(names) > 1:
        raise InvalidValueError(f"{option}: {item!r} must name its strategy, like {names[0]}.{item}")
    if owner and owner not in names:
        raise InvalidValueError(f"{option}: {item!r} names {owner}, which is not among the strategies to run")
    return owner or names[0], field, text


def value_of(text: str) -> Any:
    """A number, true, false, null or a list where it reads as JSON, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


@contextmanager
def _progress(console: "Console", recordings: "Recordings") -> "Iterator[Callable[[int, float], None] | None]":
    """A bar on a terminal, nothing elsewhere."""
    if not console.is_terminal:
        yield None
        return
    from datetime import datetime  # noqa: PLC0415

    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    from alphapanda.domain.calendar import IST  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("reading", total=recordings.count())

        def tell(ticks: int, at: float) -> None:
            progress.update(task, completed=ticks, description=f"{datetime.fromtimestamp(at, IST):%Y-%m-%d}")

        yield tell


def _writable(html: Path | None) -> None:
    """Said before the run, not after it."""
    if html is not None and (html.is_dir() or not html.absolute().parent.is_dir()):
        raise ReportNotWritten(f"html: {html} cannot be written (no such folder, or it is one)")


def _write(html: Path, text: str) -> None:
    try:
        html.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ReportNotWritten(f"html: {html} cannot be written ({error.strerror})") from None
