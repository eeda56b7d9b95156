"""What the commands share: options that are settings, programs of the upper layers, and output."""

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn
from urllib.parse import quote

import typer

if TYPE_CHECKING:
    from alphapanda.commands.client import ApiClient

_PREFIX = "ALPHAPANDA_"
_IST = timezone(timedelta(hours=5, minutes=30), "IST")
_WIDE = 220
"""Columns where nobody looks: a pipe or a file must not get cut tables."""


def set_setting(name: str, value: str) -> None:
    """An option that is a setting: it wins over the environment and `.env`, and child processes inherit it."""
    os.environ[f"{_PREFIX}{name}"] = value


def _set_data_dir(value: Path | None) -> Path | None:
    if value is not None:
        set_setting("DATA_DIR", str(value.absolute()))
    return value


DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Where the desk keeps its state (default .alphapanda).", callback=_set_data_dir),
]
"""Takes effect by being given; a command needs the parameter only to offer the option."""

AsJson = Annotated[bool, typer.Option("--json", help="Print the API's JSON.")]
OneBroker = Annotated[str | None, typer.Option("--broker", help="Only this broker.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=200, help="Rows at most.")]


def become(module: str, *arguments: str) -> NoReturn:
    """Go on as `python -m module`: signals, output and exit code are then its own."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-P", "-m", module, *arguments])  # noqa: S606


def connected() -> "ApiClient":
    """The API of the desk that the settings point at; use it in a `with`. Raises AlphaPandaError."""
    from alphapanda.commands.client import ApiClient  # noqa: PLC0415 - the commands import what is slow when they run
    from alphapanda.settings import Settings  # noqa: PLC0415

    return ApiClient.of(Settings.load())


def in_path(part: str) -> str:
    """An id as a part of a path."""
    return quote(part, safe=":")


def print_json(document: Any) -> None:
    typer.echo(json.dumps(document, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]], *, empty: str) -> None:
    """`columns` are the keys, shown as headings."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(Text(shown(row.get(column))) for column in columns))
    if table.row_count == 0:
        typer.echo(empty)
        return
    Console(width=None if sys.stdout.isatty() else _WIDE).print(table)


def print_facts(facts: Mapping[str, Any]) -> None:
    """One thing, a line per fact."""
    width = max((len(name) for name in facts), default=0)
    for name, value in facts.items():
        typer.echo(f"{name.replace('_', ' '):<{width}}  {shown(value)}")


def shown(value: Any) -> str:
    """A value of the API for people: moments in IST, what is unknown as a dash."""
    match value:
        case None | "":
            return "–"
        case bool():
            return "yes" if value else "no"
        case str():
            return _in_ist(value)
        case dict() | list():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return str(value)


def _in_ist(text: str) -> str:
    if len(text) < 20 or text[10:11] != "T":
        return text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{moment.astimezone(_IST):%Y-%m-%d %H:%M:%S} IST" if moment.tzinfo else text
