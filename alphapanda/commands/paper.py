"""`alphapanda paper`: rehearse on the paper exchange what real brokers do to one."""

from typing import Annotated, Any

import typer

from alphapanda.brokers.paper.faults import PaperFault
from alphapanda.commands.common import DataDir, connected

app = typer.Typer(no_args_is_help=True)


@app.callback()
def paper(data_dir: DataDir = None) -> None:
    """Make the paper exchange fail on purpose."""


@app.command()
def expire_session() -> None:
    """Let the session die; `alphapanda login --broker paper` opens a new one."""
    _rehearse({"expire_session": True})


@app.command()
def fault(
    name: Annotated[PaperFault, typer.Argument(case_sensitive=False)],
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many calls it befalls.")] = 1,
) -> None:
    """Let the next calls fail in a certain way."""
    _rehearse({"fault": name, "count": count})


def _rehearse(what: dict[str, Any]) -> None:
    with connected() as api:
        typer.echo(api.post("/brokers/paper/rehearse", what)["rehearsed"])
