"""`alphapanda strategy`: which strategies there are, what each takes, and a new one to start from."""

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alphapanda.commands.common import print_facts, print_json, print_table

if TYPE_CHECKING:
    from alphapanda.strategies.deployment import AnyStrategy

app = typer.Typer(no_args_is_help=True, help="Strategies: what there is to run, and a new one to start from.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_strategies(as_json: Json = False) -> None:
    """Every strategy that has a name: built in, or of an installed package."""
    from alphapanda.domain.errors import AlphaPandaError  # noqa: PLC0415 - slow to import
    from alphapanda.strategies.registry import available, find  # noqa: PLC0415

    rows = []
    for name, origin in sorted(available().items()):
        try:
            strategy = find(name)
        except AlphaPandaError as error:  # one bad package must not hide the others
            rows.append({"name": name, "version": None, "origin": origin, "description": f"unusable: {error}"})
        else:
            description = _paragraphs(strategy)[0]
            rows.append({"name": name, "version": strategy.version, "origin": origin, "description": description})
    if as_json:
        print_json(rows)
    else:
        print_table(("name", "version", "origin", "description"), rows, empty="no strategies")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A name, package.module:ClassName, or file.py:ClassName.")],
    as_json: Json = False,
) -> None:
    """What a strategy does, and its parameters with their rules."""
    from alphapanda.strategies.registry import find  # noqa: PLC0415 - slow to import

    strategy = find(name)
    parameters = _parameters(strategy)
    text = "\n\n".join(_explained(strategy))
    if as_json:
        print_json({"name": strategy.name, "version": strategy.version, "description": text, "parameters": parameters})
        return
    print_facts({"name": strategy.name, "version": strategy.version, "class": _place(strategy)})
    typer.echo(f"\n{text}\n")
    print_table(("parameter", "type", "default", "rule", "description"), parameters, empty="no parameters")


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="Words joined by '-', such as my-idea.")],
    folder: Annotated[Path, typer.Option("--dir", help="Where to write it.")] = Path("strategies"),
) -> None:
    """Write a strategy that works and a test that passes, to be made your own."""
    from alphapanda.strategies.skeleton import write  # noqa: PLC0415 - slow to import

    written = write(name, folder)
    typer.echo(f"written: {written.strategy}\n         {written.test}\n")
    typer.echo("next:")
    typer.echo(f"  pytest {written.test}")
    typer.echo(f"  alphapanda strategy show {folder}/{written.reference}")
    typer.echo(f"  ALPHAPANDA_FEED__STRATEGIES={folder}/{written.reference} alphapanda up")


def _paragraphs(documented: Any) -> list[str]:
    return inspect.cleandoc(documented.__doc__ or "").split("\n\n")


def _explained(strategy: "type[AnyStrategy]") -> list[str]:
    """The module's account where it is a module of one strategy, else the class's."""
    module = inspect.getmodule(strategy)
    text = _paragraphs(module) if module is not None and module.__doc__ else _paragraphs(strategy)
    return [" ".join(paragraph.split("\n")) for paragraph in text]


def _place(strategy: "type[AnyStrategy]") -> str:
    module = inspect.getmodule(strategy)
    file = getattr(module, "__file__", None)
    return f"{file}:{strategy.__name__}" if file else strategy.__qualname__


def _parameters(strategy: "type[AnyStrategy]") -> list[dict[str, Any]]:
    """A row per parameter, by its JSON schema: the rules stand there in one form for all types."""
    schema = strategy.Params.model_json_schema()
    return [_parameter(name, rules, name in schema.get("required", ())) for name, rules in schema["properties"].items()]


_BOUNDS = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
    "pattern": "like",
}


def _parameter(name: str, rules: dict[str, Any], required: bool) -> dict[str, Any]:
    types = [option.get("type", "any") for option in rules.get("anyOf", [rules])]
    bounds = [f"{word} {rules[bound]}" for bound, word in _BOUNDS.items() if bound in rules]
    return {
        "parameter": name,
        "type": " or ".join(dict.fromkeys(types)),
        "default": "required" if required else rules.get("default"),
        "rule": ", ".join(bounds),
        "description": rules.get("description", ""),
    }
