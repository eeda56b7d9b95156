"""`alphapanda brokers`: session and trading switch of each broker."""

from typing import Annotated, Any

import typer

from alphapanda.commands.common import AsJson, DataDir, connected, in_path, print_facts, print_json, print_table

_COLUMNS = ("broker", "session", "session_since", "switch", "switch_reason", "switch_actor", "waiting_orders", "live")

BrokerArgument = Annotated[str, typer.Argument(metavar="BROKER")]
Why = Annotated[str, typer.Option("--reason", help="For the record.")]

app = typer.Typer(invoke_without_command=True)


@app.callback()
def brokers(context: typer.Context, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """List the active brokers; or switch one, or log in to it."""
    if context.invoked_subcommand is not None:
        return
    with connected() as api:
        page = api.get("/brokers")
    if as_json:
        print_json(page)
    else:
        print_table(_COLUMNS, page["items"], empty="no brokers")


@app.command()
def halt(broker: BrokerArgument, reason: Why = "", as_json: AsJson = False) -> None:
    """Stop every entry that is not on the wire yet; exits stay possible."""
    _post(broker, "halt", {"reason": reason}, as_json=as_json)


@app.command()
def exits_only(broker: BrokerArgument, reason: Why = "", as_json: AsJson = False) -> None:
    """Deny entries; what reduces a position goes on."""
    _post(broker, "exits-only", {"reason": reason}, as_json=as_json)


@app.command()
def resume(broker: BrokerArgument, reason: Why = "", as_json: AsJson = False) -> None:
    """Allow entries again."""
    _post(broker, "resume", {"reason": reason}, as_json=as_json)


@app.command()
def login(
    broker: BrokerArgument,
    request_token: Annotated[str | None, typer.Argument(help="As the broker's login page handed it out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Say where to log in; with the request token, log in and wake the orders that wait for it. Paper needs none."""
    if request_token is None:
        with connected() as api:
            page = api.get(f"/brokers/{in_path(broker)}/login")
        if page["login_url"] is not None:
            if as_json:
                print_json(page)
            else:
                print_facts(page)
            return
        request_token = "none-needed"  # noqa: S105 - there is no page that hands one out: any is as good
    _post(broker, "session", {"request_token": request_token}, as_json=as_json)


def _post(broker: str, what: str, body: dict[str, Any], *, as_json: bool) -> None:
    with connected() as api:
        answer = api.post(f"/brokers/{in_path(broker)}/{what}", body)
    if as_json:
        print_json(answer)
    else:
        print_facts(answer)
