"""`alphapanda brokers`: each broker's session as it stands, and its trading switch."""

from typing import Annotated, Any

import typer

from alphapanda.commands.common import (
    AsJson,
    DataDir,
    Limit,
    connected,
    in_path,
    print_facts,
    print_json,
    print_table,
    shown,
)

_COLUMNS = (
    "broker",
    "session",
    "session_since",
    "switch",
    "switch_reason",
    "switch_actor",
    "waiting_orders",
    "needs_person",
    "login_needed_by",
    "live",
)
_DRIFT_COLUMNS = ("found_at", "seen_at", "cleared_at", "kind", "detail")

BrokerArgument = Annotated[str, typer.Argument(metavar="BROKER")]
Why = Annotated[str, typer.Option("--reason", help="For the record.")]

app = typer.Typer(invoke_without_command=True)


@app.callback()
def brokers(context: typer.Context, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """List the active brokers; or switch one."""
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
def drift(
    broker: BrokerArgument,
    gone: Annotated[bool, typer.Option("--all", help="What is gone, too.")] = False,
    limit: Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List where the ledger and the broker's books differ, and say when they were compared last."""
    with connected() as api:
        page = api.get(f"/brokers/{in_path(broker)}/drift", open=None if not gone else False, limit=limit)
    if as_json:
        print_json(page)
        return
    print_table(_DRIFT_COLUMNS, page["items"], empty="no drift")
    last = page["reconciled"] or {"at": None, "unread": None}
    unread = f"; not read: {', '.join(last['unread'])}" if last["unread"] else ""
    typer.echo(f"last compared: {shown(last['at'])}{unread}")


def _post(broker: str, what: str, body: dict[str, Any], *, as_json: bool) -> None:
    with connected() as api:
        answer = api.post(f"/brokers/{in_path(broker)}/{what}", body)
    if as_json:
        print_json(answer)
    else:
        print_facts(answer)
