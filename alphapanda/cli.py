"""`alphapanda`: the desk from the terminal. Its `main` is the outermost edge: errors become words and an exit code."""

import sys
from typing import Annotated

import typer

from alphapanda import __version__
from alphapanda.commands import (
    backtest,
    brokers,
    doctor,
    instruments,
    kite_sim,
    login,
    orders,
    paper,
    positions,
    programs,
    rehearse,
    replay,
    signals,
    strategy,
    up,
)
from alphapanda.commands.common import DataDir
from alphapanda.edge import at_the_edge

app = typer.Typer(
    name="alphapanda", no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False, rich_markup_mode=None
)


@app.callback()
def alphapanda(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    data_dir: DataDir = None,
) -> None:
    """A crash-proof order desk: every signal becomes one durable order per broker."""


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


for single in (up, doctor, programs, rehearse, replay, backtest, positions, login, kite_sim):
    app.add_typer(single.app)
app.add_typer(orders.app, name="orders")
app.add_typer(signals.app, name="signals")
app.add_typer(brokers.app, name="brokers")
app.add_typer(paper.app, name="paper")
app.add_typer(strategy.app, name="strategy")
app.add_typer(instruments.app, name="instruments")
app.add_typer(programs.bench, name="bench")


def main() -> None:
    sys.exit(at_the_edge(app, debug="--debug" in sys.argv))


if __name__ == "__main__":
    main()
