"""`alphapanda signals`: hand one in, and see what became of them."""

import json
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

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
from alphapanda.domain.errors import InvalidValueError
from alphapanda.domain.vocabulary import Exchange, OrderType, Product, Side, Validity, Variety

_COLUMNS = (
    "signal_id",
    "strategy_id",
    "side",
    "quantity",
    "tradingsymbol",
    "order_type",
    "price",
    "orders",
    "accepted_at",
)
_ORDER_COLUMNS = ("order_id", "broker", "state", "workflow_id")

if TYPE_CHECKING:
    from alphapanda.commands.client import ApiClient

app = typer.Typer(invoke_without_command=True)


@app.callback()
def signals(
    context: typer.Context,
    broker: OneBroker = None,
    strategy_id: Annotated[str | None, typer.Option(help="Only of this strategy.")] = None,
    limit: Limit = 50,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List the signals, newest first; or hand one in."""
    if context.invoked_subcommand is not None:
        return
    with connected() as api:
        page = api.get("/signals", broker=broker, strategy_id=strategy_id, limit=limit)
    if as_json:
        print_json(page)
        return
    rows = [{**item, "orders": _states(item["orders"])} for item in page["items"]]
    print_table(_COLUMNS, rows, empty="no signals")


@app.command()
def show(signal_id: Annotated[str, typer.Argument()], as_json: AsJson = False) -> None:
    """One signal, and the state of its order on each broker."""
    with connected() as api:
        found = api.get(f"/signals/{in_path(signal_id)}")
    if as_json:
        print_json(found)
    else:
        print_facts({**found, "orders": _states(found["orders"])})


@app.command()
def send(
    tradingsymbol: Annotated[str, typer.Option("--symbol", "--tradingsymbol", help="As the exchange spells it.")],
    side: Annotated[Side, typer.Option(case_sensitive=False)],
    quantity: Annotated[int, typer.Option(min=1, help="Shares or contracts, not lots.")],
    broker: Annotated[list[str] | None, typer.Option(help="Repeatable; may be left out where one is active.")] = None,
    exchange: Annotated[Exchange, typer.Option(case_sensitive=False)] = Exchange.NSE,
    order_type: Annotated[OrderType, typer.Option(case_sensitive=False)] = OrderType.MARKET,
    product: Annotated[Product, typer.Option(case_sensitive=False)] = Product.CNC,
    price: Annotated[str | None, typer.Option(help="Limit price in rupees; LIMIT and SL only.")] = None,
    trigger_price: Annotated[str | None, typer.Option(help="Trigger in rupees; SL and SL-M only.")] = None,
    validity: Annotated[Validity, typer.Option(case_sensitive=False)] = Validity.DAY,
    validity_minutes: Annotated[int | None, typer.Option(help="How long it lives; TTL only.")] = None,
    variety: Annotated[
        Variety, typer.Option(case_sensitive=False, help="amo: after market hours, for the next open.")
    ] = Variety.REGULAR,
    iceberg_legs: Annotated[int | None, typer.Option(min=2, max=50, help="Legs; iceberg only.")] = None,
    expires_in: Annotated[float | None, typer.Option(help="Seconds within which it must reach the broker.")] = None,
    wait_for_open: Annotated[bool, typer.Option("--wait-for-open", help="If the market is closed, wait.")] = False,
    strategy_id: Annotated[str, typer.Option(help="On whose account.")] = "manual",
    signal_id: Annotated[str | None, typer.Option(help="The same id never trades twice (default: a new one).")] = None,
    metadata: Annotated[str, typer.Option(help="A JSON object of yours, kept with it.")] = "{}",
    as_json: AsJson = False,
) -> None:
    """Hand in a signal: it becomes one order on each broker."""
    optional = {
        "price": price,
        "trigger_price": trigger_price,
        "validity_minutes": validity_minutes,
        "iceberg_legs": iceberg_legs,
        "expires_in": expires_in,
    }
    with connected() as api:
        body: dict[str, Any] = {
            # Made here, so that after a lost answer the same signal can be sent again without trading twice.
            "signal_id": signal_id or f"cli-{uuid4().hex}",
            "strategy_id": strategy_id,
            "brokers": broker or _only_broker(api.get("/brokers")["items"]),
            "exchange": exchange,
            "tradingsymbol": tradingsymbol,
            "side": side,
            "quantity": quantity,
            "order_type": order_type,
            "product": product,
            "validity": validity,
            "variety": variety,
            "wait_for_open": wait_for_open,
            "metadata": _object(metadata),
            **{name: value for name, value in optional.items() if value is not None},
        }
        accepted = _hand_in(api, body)
    if as_json:
        print_json(accepted)
        return
    typer.echo(f"signal {accepted['signal_id']} {'accepted' if accepted['created'] else 'was known already'}")
    print_table(_ORDER_COLUMNS, accepted["orders"], empty="no orders")


def _hand_in(api: "ApiClient", body: dict[str, Any]) -> Any:
    from alphapanda.commands.client import ApiUnreachable  # noqa: PLC0415 - slow to import

    try:
        return api.post("/signals", body)
    except ApiUnreachable as error:
        raise ApiUnreachable(
            f"{error.message}; whether the signal arrived is not known",
            next_action=f"Send it again with --signal-id {body['signal_id']}: it cannot trade twice.",
        ) from error


def _only_broker(active: list[dict[str, Any]]) -> list[str]:
    """Which broker an order goes to is never guessed."""
    names = [each["broker"] for each in active]
    if len(names) != 1:
        raise InvalidValueError(f"--broker: name one or more of the active brokers ({', '.join(names)})")
    return names


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise InvalidValueError(f"--metadata: not JSON ({error})") from None
    if not isinstance(value, dict):
        raise InvalidValueError("--metadata: must be a JSON object")
    return value


def _states(orders: list[dict[str, Any]]) -> str:
    return ", ".join(f"{order['broker']}: {order['state']}" for order in orders)
