"""Commands that are programs of the upper layers: they are started, for nothing down here may import them."""

from typing import Annotated

import typer

from alphapanda.commands.common import DataDir, become

bench = typer.Typer(no_args_is_help=True)
app = typer.Typer()


@app.command()
def bootstrap(data_dir: DataDir = None) -> None:
    """Prepare the servers: migrations, search attributes, brokers' workflows. Safe to repeat."""
    become("workers.bootstrap")


@bench.callback()
def benchmarks() -> None:
    """Measure it, against its floor."""


@bench.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def orders(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one object.")] = False,
) -> None:
    """Whole paper orders: latency to the broker call, lifecycles per second, cost per order."""
    become("workers.bench", "orders", *(["--json"] if as_json else []), *context.args)


@bench.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def backtest(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print one object.")] = False,
) -> None:
    """The backtest: ticks per second through its engine, orders per second, cost per order as runs grow."""
    become("workers.bench", "backtest", *(["--json"] if as_json else []), *context.args)
