"""`alphapanda instruments`: find what can be traded, load the day's dump, see how fresh it is."""

import asyncio
import getpass
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alphapanda.commands.common import AsJson, DataDir, Limit, connected, print_facts, print_json, print_table, shown
from alphapanda.domain.errors import InvalidValueError
from alphapanda.domain.instrument import InstrumentType
from alphapanda.domain.vocabulary import Exchange

if TYPE_CHECKING:
    from alphapanda.instruments.dump import Progress
    from alphapanda.ledger.instrument_loads import LoadRecord

_COLUMNS = (
    "exchange", "tradingsymbol", "instrument_type", "name", "expiry", "strike", "tick_size", "lot_size", "segment",
    "as_of", "source",
)  # fmt: skip
_EXCHANGE_COLUMNS = ("exchange", "instruments", "withdrawn", "as_of")
_LOAD_COLUMNS = (
    "as_of", "source", "loaded_at", "outcome", "accepted", "refused", "skipped", "added", "changed", "withdrawn",
    "detail",
)  # fmt: skip
_FACTS = ("as_of", "source", "exchanges", "accepted", "refused", "skipped", "added", "changed", "withdrawn")
_BROKER_PATIENCE_S = 180.0
"""The API fetches some 10 MB, over a line that may be slow, and answers when all is loaded."""

app = typer.Typer(no_args_is_help=True)


@app.callback()
def instruments(data_dir: DataDir = None) -> None:
    """Find instruments, load the day's dump, see how fresh it is."""


@app.command()
def search(
    query: Annotated[list[str] | None, typer.Argument(help="Parts of symbol or name, e.g.: nifty 24000 ce")] = None,
    exchange: Annotated[Exchange | None, typer.Option(case_sensitive=False)] = None,
    instrument_type: Annotated[
        InstrumentType | None, typer.Option("--type", case_sensitive=False, help="EQ, FUT, CE, PE or INDEX.")
    ] = None,
    expiry: Annotated[str | None, typer.Option(help="A date like 2026-11-24.")] = None,
    strike: Annotated[str | None, typer.Option(help="In rupees.")] = None,
    withdrawn: Annotated[bool, typer.Option("--withdrawn", help="Also what has left its dump.")] = False,
    limit: Limit = 50,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Those that contain every word; the symbol itself first."""
    with connected() as api:
        page = api.get(
            "/instruments", query=" ".join(query or ()), exchange=exchange, type=instrument_type, expiry=expiry,
            strike=strike, withdrawn=withdrawn or None, limit=limit,
        )  # fmt: skip
    if as_json:
        print_json(page)
        return
    print_table(_COLUMNS, page["items"], empty="no instruments")
    if page["next_cursor"]:
        typer.echo(f"the first {limit}; more words or options narrow it down")


@app.command()
def status(as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """How old the dump is, what it holds, and the latest loads."""
    with connected() as api:
        found = api.get("/instruments/status")
    if as_json:
        print_json(found)
        return
    typer.echo(found["detail"])
    if found["next_action"]:
        typer.echo(f"next: {found['next_action']}")
    typer.echo("")
    print_table(_EXCHANGE_COLUMNS, found["exchanges"], empty="no instruments")
    typer.echo("")
    print_table(_LOAD_COLUMNS, found["loads"], empty="no dump was loaded yet")


@app.command()
def load(
    file: Annotated[Path | None, typer.Argument(help="Kite's instruments CSV, plain or .gz.")] = None,
    broker: Annotated[str | None, typer.Option("--broker", help="Fetch it from this broker instead.")] = None,
    as_of: Annotated[
        str | None, typer.Option(help="The day the file is of (default: when it was written, or its first expiry).")
    ] = None,
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Also if it is older or much smaller than what is loaded.")
    ] = False,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Put a dump in the place of what is loaded of its exchanges: whole, or not at all."""
    if (file is None) is (broker is None):
        raise InvalidValueError("load: name either a file or --broker")
    if broker is not None:
        if as_of is not None:
            raise InvalidValueError("--as-of: only of a file; what a broker hands out is of the day")
        with connected() as api:
            typer.echo(f"the desk fetches the dump of {broker} and loads it", err=True)
            found = api.post("/instruments/load", {"broker": broker, "anyway": anyway}, timeout_s=_BROKER_PATIENCE_S)
    else:
        assert file is not None  # noqa: S101 - for the type checker
        found = _shape(asyncio.run(_load_file(file, _day(as_of), anyway=anyway)))
    if as_json:
        print_json(found)
    else:
        _print(found)


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError as error:
        raise InvalidValueError(f"--as-of: {text!r} is not a date like 2026-11-20") from error


async def _load_file(file: Path, as_of: date | None, *, anyway: bool) -> "LoadRecord":
    from alphapanda.endpoints import resolve_endpoints  # noqa: PLC0415 - slow to import, as are the others
    from alphapanda.instruments.acceptance import Rules  # noqa: PLC0415
    from alphapanda.instruments.files import date_of_file, read_file  # noqa: PLC0415
    from alphapanda.instruments.loading import load_dump  # noqa: PLC0415
    from alphapanda.ledger.engine import create_ledger_engine  # noqa: PLC0415
    from alphapanda.ledger.migrate import verify_head  # noqa: PLC0415
    from alphapanda.logging import configure_logging  # noqa: PLC0415
    from alphapanda.settings import Settings  # noqa: PLC0415

    settings = Settings.load()
    quiet = settings.model_copy(update={"log": settings.log.model_copy(update={"level": "WARNING"})})
    configure_logging(quiet, role="instruments")
    data = read_file(file)
    engine = create_ledger_engine(resolve_endpoints(settings).database_url, pool_size=1)
    try:
        await verify_head(engine)
        return await load_dump(
            engine,
            data,
            as_of=as_of or date_of_file(file, data),
            source="file",
            origin=file.name,
            actor=getpass.getuser(),
            now=datetime.now(UTC),
            rules=Rules(anyway=anyway),
            progress=_progress(),
        )
    finally:
        await engine.dispose()


def _progress() -> "Progress":
    """Steps on stderr; on a terminal with how far they are."""
    told: set[str] = set()

    def tell(step: str, done: int, of: int | None) -> None:
        if sys.stderr.isatty() and of:
            sys.stderr.write(f"\r{step} {done:,} of {of:,}" + ("\n" if done == of else ""))
        elif step not in told:
            sys.stderr.write(f"{step}\n")
        told.add(step)
        sys.stderr.flush()

    return tell


def _shape(record: "LoadRecord") -> dict[str, Any]:
    """As the API gives it."""
    from dataclasses import asdict  # noqa: PLC0415

    document = asdict(record)
    return document | {"as_of": record.as_of.isoformat(), "loaded_at": record.loaded_at.astimezone(UTC).isoformat()}


def _print(load: dict[str, Any]) -> None:
    print_facts({name: load[name] for name in _FACTS} | {"exchanges": ", ".join(load["exchanges"])})
    for each in load["report"]["refused"]:
        typer.echo(f"\nrefused for its {each['rule']}: {each['rows']} rows")
        for row in each["examples"]:
            typer.echo(f"  line {row['line']}: {row['instrument']}: {row['detail']}")
    if load["report"]["skipped"]:
        counted = ", ".join(f"{exchange} {rows}" for exchange, rows in load["report"]["skipped"].items())
        typer.echo(f"\nnot traded here: {shown(counted)}")
