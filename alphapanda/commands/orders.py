"""`alphapanda orders`: where each order is, why, what happens next, and what one can ask of it."""

from typing import Annotated, Any

import typer

from alphapanda.commands.common import (
    AsJson,
    DataDir,
    Limit,
    OneBroker,
    connected,
    in_path,
    print_facts,
    print_json,
    print_table,
)
from alphapanda.domain.states import OrderState
from alphapanda.domain.vocabulary import OrderType, Validity

_COLUMNS = (
    "order_id",
    "state",
    "side",
    "quantity",
    "filled_quantity",
    "tradingsymbol",
    "order_type",
    "price",
    "average_price",
    "reason",
    "updated_at",
)
_EVIDENCE = {
    "sent": ("attempt", "sent_at", "ended_at", "tag", "terms", "outcome", "broker_order_id", "answer"),
    "searches": ("attempt", "first_at", "last_at", "reads", "absent", "pending", "unreadable", "last"),
    "replaced": ("broker_order_id", "tag"),
}
_EVENT_COLUMNS = ("seq", "at", "from_state", "to_state", "actor", "reason")

OrderIdArgument = Annotated[str, typer.Argument(metavar="ORDER_ID", help="`broker:signal_id`.")]

app = typer.Typer(invoke_without_command=True)


@app.callback()
def orders(
    context: typer.Context,
    broker: OneBroker = None,
    state: Annotated[list[OrderState] | None, typer.Option(help="Only in this state; repeatable.")] = None,
    strategy_id: Annotated[str | None, typer.Option(help="Only of this strategy.")] = None,
    symbol: Annotated[str | None, typer.Option(help="Only of this tradingsymbol.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List the orders, newest first; or look into one and act on it."""
    if context.invoked_subcommand is not None:
        return
    states = [each.value for each in state or ()] or None
    with connected() as api:
        page = api.get(
            "/orders", broker=broker, state=states, strategy_id=strategy_id, tradingsymbol=symbol, limit=limit
        )
    if as_json:
        print_json(page)
    else:
        print_table(_COLUMNS, page["items"], empty="no orders")


@app.command()
def show(order_id: OrderIdArgument, as_json: AsJson = False) -> None:
    """One order: its state, why, and what happens next; where it is or was in doubt, the evidence."""
    order = _get(order_id)
    if as_json:
        print_json(order)
        return
    evidence = order.pop("evidence", None) or {}
    print_facts(order)
    for title, columns in _EVIDENCE.items():
        if evidence.get(title):
            typer.echo(f"\n{title}")
            print_table(columns, evidence[title], empty="none")


@app.command()
def events(order_id: OrderIdArgument, limit: Limit = 200, as_json: AsJson = False) -> None:
    """Every state it entered, with reason, actor and time."""
    page = _get(order_id, "/events", limit=limit)
    if as_json:
        print_json(page)
    else:
        print_table(_EVENT_COLUMNS, page["items"], empty="no events")


@app.command()
def cancel(order_id: OrderIdArgument, as_json: AsJson = False) -> None:
    """Ask for a cancel."""
    _ask(order_id, "cancel", as_json=as_json)


@app.command()
def approve(order_id: OrderIdArgument, as_json: AsJson = False) -> None:
    """Let an order that is AWAITING_APPROVAL go."""
    _ask(order_id, "approve", as_json=as_json)


@app.command()
def deny(
    order_id: OrderIdArgument,
    note: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    as_json: AsJson = False,
) -> None:
    """End an order that is AWAITING_APPROVAL."""
    _ask(order_id, "deny", {"note": note}, as_json=as_json)


@app.command()
def modify(
    order_id: OrderIdArgument,
    quantity: Annotated[int | None, typer.Option(help="New total quantity.")] = None,
    price: Annotated[str | None, typer.Option(help="New limit price.")] = None,
    trigger_price: Annotated[str | None, typer.Option(help="New trigger.")] = None,
    order_type: Annotated[OrderType | None, typer.Option(help="New type.")] = None,
    validity: Annotated[Validity | None, typer.Option(help="New validity.")] = None,
    as_json: AsJson = False,
) -> None:
    """Change a working order."""
    change = {
        "quantity": quantity,
        "price": price,
        "trigger_price": trigger_price,
        "order_type": order_type,
        "validity": validity,
    }
    given = {name: value for name, value in change.items() if value is not None}
    _ask(order_id, "modify", given, as_json=as_json)


@app.command()
def resolve(
    order_id: OrderIdArgument,
    state: Annotated[OrderState, typer.Option(help="What the broker's own screens show.")],
    broker_order_id: Annotated[str | None, typer.Option(help="Its id there; needed for OPEN.")] = None,
    note: Annotated[str, typer.Option(help="How you know, for the record.")] = "",
    as_json: AsJson = False,
) -> None:
    """Decide what became of an order that is PARKED."""
    verdict: dict[str, Any] = {"state": state, "note": note}
    if broker_order_id:
        verdict["broker_order_id"] = broker_order_id
    _ask(order_id, "resolve", verdict, as_json=as_json)


@app.command()
def retry(order_id: OrderIdArgument, as_json: AsJson = False) -> None:
    """Start an order that FAILED again."""
    _ask(order_id, "retry", as_json=as_json)


def _get(order_id: str, below: str = "", **query: Any) -> Any:
    with connected() as api:
        return api.get(f"/orders/{in_path(order_id)}{below}", **query)


def _ask(order_id: str, what: str, body: dict[str, Any] | None = None, *, as_json: bool) -> None:
    with connected() as api:
        answer = api.post(f"/orders/{in_path(order_id)}/{what}", body)
    if as_json:
        print_json(answer)
    else:
        print_facts(answer)
