"""`alphapanda doctor`: checks every part and says what to do next."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from alphapanda.commands.common import DataDir, print_json

if TYPE_CHECKING:
    from alphapanda.health.doctor import Report

_COLOURS = {"ok": typer.colors.GREEN, "warning": typer.colors.YELLOW, "failed": typer.colors.RED}

app = typer.Typer()


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one object, without secrets.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Check every part and say what to do next; exit code 0 if the desk can do its work."""
    from alphapanda.health.doctor import examine  # noqa: PLC0415 - slow to import

    report = asyncio.run(examine())
    if as_json:
        print_json(report.as_json())
    else:
        _print(report)
    raise typer.Exit(0 if report.is_ok else 1)


def _print(report: "Report") -> None:
    width = max(len(check.component) for check in report.checks)
    for check in report.checks:
        status = typer.style(f"{check.status:<8}", fg=_COLOURS[check.status])
        typer.echo(f"{status} {check.component:<{width}}  {check.detail}")
        if check.next_action:
            typer.echo(f"{'':<8} {'':<{width}}  next: {check.next_action}")
    for name, address in report.endpoints.items():
        typer.echo(f"{name:<12} {address}")
    typer.echo("all is well" if report.is_ok else "something must be put right: see `next` above")
