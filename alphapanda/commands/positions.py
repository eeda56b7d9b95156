"""`alphapanda positions`: what is held, per broker, marked to market."""

from typing import Annotated

import typer

from alphapanda.commands.common import AsJson, DataDir, Limit, OneBroker, connected, print_json, print_table

_COLUMNS = (
    "broker",
    "exchange",
    "tradingsymbol",
    "product",
    "strategy_id",
    "quantity",
    "average_price",
    "last_price",
    "realised",
    "unrealised",
    "charges",
)

app = typer.Typer()


@app.command()
def positions(
    broker: OneBroker = None,
    by_strategy: Annotated[bool, typer.Option("--by-strategy", help="A row per strategy.")] = False,
    open_only: Annotated[bool, typer.Option("--open-only", help="Leave out what is closed.")] = False,
    limit: Limit = 200,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List the positions per broker; what is not known is a dash, never zero."""
    by = "strategy" if by_strategy else None
    with connected() as api:
        page = api.get("/positions", broker=broker, by=by, open_only=open_only or None, limit=limit)
    if as_json:
        print_json(page)
    else:
        print_table(_COLUMNS, page["items"], empty="no positions")
