"""Strategies that others wrote: from a module, a file, or an installed package's entry point.

A reference is `package.module:ClassName` or `path/to/file.py:ClassName`. A file is read again when its text has
changed, so it can be corrected under a running feed; a module stays as it was imported.
"""

import hashlib
import importlib
import inspect
import re
import sys
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from alphapanda.domain.ids import STRATEGY_ID_PATTERN
from alphapanda.strategies.contract import Strategy, StrategyParams
from alphapanda.strategies.deployment import AnyStrategy
from alphapanda.strategies.errors import StrategyError

ENTRY_POINTS = "alphapanda.strategies"

_HANDLERS = ("on_tick", "on_bar", "on_fill")


def from_reference(reference: str, folder: Path) -> type[AnyStrategy]:
    """The class that `reference` names; a relative file is looked for in `folder`. Raises StrategyError."""
    place, _, class_name = reference.rpartition(":")
    module = _of_file(reference, folder / place) if place.endswith(".py") else _imported(reference, place)
    found = getattr(module, class_name, None)
    if found is None:
        there = ", ".join(_strategies_in(module)) or "none"
        raise StrategyError(f"strategy {reference}: {place} has no {class_name} (strategies there: {there})")
    return complete(found, reference)


def installed() -> dict[str, EntryPoint]:
    """The entry points of installed packages, by name; nothing is imported yet."""
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def from_entry_point(point: EntryPoint) -> type[AnyStrategy]:
    """Raises StrategyError."""
    try:
        found = point.load()
    except Exception as error:  # it is foreign code
        raise StrategyError(f"strategy {point.name}: {point.value} cannot be loaded: {_said(error)}") from error
    return complete(found, point.name)


def complete(found: Any, reference: str) -> type[AnyStrategy]:
    """`found` as a strategy that can be run. Raises StrategyError naming what it lacks."""
    if not (inspect.isclass(found) and issubclass(found, Strategy)):
        raise StrategyError(f"strategy {reference}: is no class derived from {Strategy.__module__}.Strategy")
    name = getattr(found, "name", None)
    if not (isinstance(name, str) and re.fullmatch(STRATEGY_ID_PATTERN, name)):
        raise StrategyError(f"strategy {reference}, name: {name!r} must be 1-64 of letters, digits, '.', '_' or '-'")
    version = getattr(found, "version", None)
    if not (isinstance(version, str) and version):
        raise StrategyError(f"strategy {reference}, version: {version!r} must be a text such as '1'")
    params = getattr(found, "Params", None)
    if not (inspect.isclass(params) and issubclass(params, StrategyParams)):
        raise StrategyError(f"strategy {reference}, Params: must be a class derived from StrategyParams")
    if inspect.isabstract(found):
        raise StrategyError(f"strategy {reference}: lacks {', '.join(sorted(found.__abstractmethods__))}")
    if all(getattr(found, handler) is getattr(Strategy, handler) for handler in _HANDLERS):
        raise StrategyError(f"strategy {reference}: has none of {', '.join(_HANDLERS)}, so it could never trade")
    return found


def _imported(reference: str, module: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except Exception as error:
        raise StrategyError(f"strategy {reference}: {module} cannot be imported: {_said(error)}") from error


def _of_file(reference: str, path: Path) -> ModuleType:
    """The module of that file's present text; the same text gives the same module, and so the same class."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise StrategyError(f"strategy {reference}: {path} cannot be read: {error.strerror or error}") from error
    digest = hashlib.sha256(str(path.resolve()).encode() + b"\0" + text).hexdigest()
    name = f"alphapanda_strategy_{path.stem}_{digest[:16]}"
    known = sys.modules.get(name)
    if known is not None:
        return known
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # pydantic looks a class's module up by name
    try:
        exec(compile(text, path, "exec"), vars(module))  # noqa: S102 - the trader's own code, named by the trader
    except Exception as error:
        del sys.modules[name]
        raise StrategyError(f"strategy {reference}: {path} cannot be run: {_said(error)}") from error
    return module


def _strategies_in(module: ModuleType) -> Iterable[str]:
    return (
        name
        for name, value in sorted(vars(module).items())
        if inspect.isclass(value) and issubclass(value, Strategy) and value.__module__ == module.__name__
    )


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
