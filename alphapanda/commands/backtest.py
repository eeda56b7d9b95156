"""`alphapanda backtest`: strategies on recorded prices in virtual time; no server runs and none is asked."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alphapanda.commands.common import print_json
from alphapanda.domain.errors import AlphaPandaError, InvalidValueError

if TYPE_CHECKING:
    from rich.console import Console

    from alphapanda.backtest.engine import Rules
    from alphapanda.backtest.recordings import Recordings
    from alphapanda.strategies.registry import Deployment

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
) -> None:
    """Run strategies over recordings in virtual time: the same risk rules, paper exchange and charges as the desk."""
    # What is slow to import waits until a backtest is really asked for.
    from rich.console import Console  # noqa: PLC0415

    from alphapanda.backtest.candles import Candles  # noqa: PLC0415
    from alphapanda.backtest.engine import Backtest  # noqa: PLC0415
    from alphapanda.backtest.page import page  # noqa: PLC0415
    from alphapanda.backtest.recordings import Recordings  # noqa: PLC0415
    from alphapanda.backtest.report import document  # noqa: PLC0415
    from alphapanda.backtest.terminal import show  # noqa: PLC0415
    from alphapanda.logging import configure_logging  # noqa: PLC0415
    from alphapanda.settings import Settings  # noqa: PLC0415

    _writable(html)
    settings = Settings.load()
    configure_logging(settings, "backtest", stream=sys.stderr)
    deployments = deployed(strategy, _params(strategy, param or ()))
    recordings = Recordings([*data, *(more or ())])
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


def deployed(names: list[str], params: Mapping[str, Mapping[str, Any]]) -> "tuple[Deployment, ...]":
    """The strategies; their bars are of a minute unless a parameter says otherwise, as over a replay."""
    from alphapanda.feed.replay_files import BAR_S  # noqa: PLC0415
    from alphapanda.strategies.registry import deploy, deploy_all  # noqa: PLC0415

    given = {name: dict(params.get(name, {})) for name in names}
    for name, own in given.items():
        if "bar_seconds" in deploy(name).strategy.Params.model_fields:
            own.setdefault("bar_seconds", BAR_S)
    return deploy_all(names, given)


def rules_of(settings: Any) -> "Rules":
    """The rules of a run as the desk's settings have them; the market has its hours unless they say it is open."""
    from alphapanda.backtest.engine import Rules  # noqa: PLC0415
    from alphapanda.domain.calendar import Calendar  # noqa: PLC0415

    file = settings.market.calendar_file
    calendar = Calendar.packaged() if file is None else Calendar.from_file(file)
    return Rules(
        paper=settings.paper,
        risk=settings.risk,
        calendar=None if settings.market.always_open else calendar,
        quote_wait_s=settings.orders.quote_wait_s,
    )


def _params(names: list[str], given: "list[str] | tuple[str, ...]") -> dict[str, dict[str, Any]]:
    """`fast=10` of the only strategy, `sma-cross.fast=10` of one among several."""
    found: dict[str, dict[str, Any]] = {name: {} for name in names}
    for item in given:
        key, separator, value = item.partition("=")
        owner, _, field = key.rpartition(".")
        if not separator or not field:
            raise InvalidValueError(f"param: {item!r} must look like fast=10 (or sma-cross.fast=10)")
        if not owner and len(names) > 1:
            raise InvalidValueError(f"param: {item!r} must name its strategy, like {names[0]}.{item}")
        if owner and owner not in found:
            raise InvalidValueError(f"param: {item!r} names {owner}, which is not among the strategies to run")
        found[owner or names[0]][field] = value_of(value)
    return found


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
