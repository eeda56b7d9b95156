"""State that outlives a process: whatever a strategy or an indicator holds, as JSON-ready data and back.

What an object's `__init__` assigned is its state, so nobody lists fields a second time and forgets one. A snapshot is
restored into a fresh object made with the same parameters; every value must be of the type found there (None may be
replaced by anything), so a snapshot of other code is refused whole and never half taken.
"""

import math
from collections import deque
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, ClassVar

import msgspec

from alphapanda.domain.vocabulary import Side
from alphapanda.feed.bars import Bar
from alphapanda.live.quotes import Tick
from alphapanda.strategies.errors import StateUnfit, StrategyError

_MARK = "!"
"""Begins the one key of a dictionary that stands for a value JSON has no form for; no key of a state may begin so."""

_OF_JSON = (bool, int, str)

_TYPES: dict[str, tuple[type[Any], Callable[[Any], Any], Callable[[Any], Any]]] = {
    "decimal": (Decimal, str, Decimal),
    "side": (Side, str, Side),
    "number": (float, repr, float),  # inf and nan: finite floats go as they are
    "bar": (Bar, msgspec.to_builtins, lambda data: msgspec.convert(data, Bar)),
    "tick": (Tick, msgspec.to_builtins, lambda data: msgspec.convert(data, Tick)),
}


class Kept:
    """An object whose attributes are its state; `not_kept` names those that are given anew by the constructor."""

    __slots__ = ()
    not_kept: ClassVar[frozenset[str]] = frozenset()

    def kept(self) -> dict[str, Any]:
        """The state, ready for JSON. Raises StrategyError for a value that cannot be kept, naming it."""
        return {name: _written(value, name) for name, value in _attributes(self).items()}

    def take(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that `kept` gave. Raises StateUnfit and is then as before."""
        for name, value in _matched(self, state, type(self).__name__).items():
            setattr(self, name, value)


# Functions, not private methods: whoever derives from Kept has every name for their own attributes.


def _attributes(of: Kept) -> dict[str, Any]:
    slots = [name for kind in type(of).__mro__ for name in getattr(kind, "__slots__", ())]
    found = {name: getattr(of, name) for name in slots}
    found.update(getattr(of, "__dict__", {}))
    return {name: value for name, value in sorted(found.items()) if name not in of.not_kept}


def _matched(fresh: Kept, state: Any, where: str) -> dict[str, Any]:
    values = _attributes(fresh)
    if not isinstance(state, Mapping) or set(state) != set(values):
        given = ", ".join(sorted(state)) if isinstance(state, Mapping) else repr(state)
        raise StateUnfit(f"{where}: the snapshot holds {given}; expected {', '.join(values)}")
    return {name: _read(state[name], values[name], f"{where}.{name}") for name in values}


def _successor(fresh: Kept, state: Any, where: str) -> Kept:
    """Another of the same kind with that state: the snapshot is read to its end before anything is changed."""
    other = object.__new__(type(fresh))
    given_anew = {name: getattr(fresh, name) for name in fresh.not_kept}
    for name, value in {**_matched(fresh, state, where), **given_anew}.items():
        setattr(other, name, value)
    return other


def _written(value: Any, where: str) -> Any:
    if value is None or type(value) in _OF_JSON or (type(value) is float and math.isfinite(value)):
        return value
    if isinstance(value, Kept):
        return {f"{_MARK}kept": value.kept()}
    for name, (kind, write, _) in _TYPES.items():
        if type(value) is kind:
            return {_MARK + name: write(value)}
    match value:
        case list():
            return [_written(item, where) for item in value]
        case tuple():
            return {f"{_MARK}tuple": [_written(item, where) for item in value]}
        case deque():
            return {f"{_MARK}deque": [_written(item, where) for item in value], "longest": value.maxlen}
        case dict() if all(type(key) is str and not key.startswith(_MARK) for key in value):
            return {key: _written(item, f"{where}[{key}]") for key, item in value.items()}
    raise StrategyError(
        f"{where}: a {type(value).__name__} cannot be kept in a snapshot",
        next_action="Hold plain values, Decimal, Side, Bar, Tick, indicators, and lists, tuples, deques or "
        "string-keyed dictionaries of them; or override snapshot and restore.",
    )


def _read(data: Any, fresh: Any, where: str) -> Any:
    """The value written as `data`. `fresh` stands where it goes, and tells of what type it must be."""
    if isinstance(fresh, Kept):
        if not (isinstance(data, Mapping) and set(data) == {f"{_MARK}kept"}):
            raise StateUnfit(f"{where}: the snapshot holds {data!r}; expected the state of {type(fresh).__name__}")
        return _successor(fresh, data[f"{_MARK}kept"], where)
    value = _value(data, fresh, where)
    fits = fresh is None or value is None or type(value) is type(fresh) or (type(fresh), type(value)) == (float, int)
    if not fits:
        raise StateUnfit(f"{where}: the snapshot holds a {type(value).__name__}; expected {type(fresh).__name__}")
    return value


def _value(data: Any, fresh: Any, where: str) -> Any:
    match data:
        case list():
            return [_read(item, None, where) for item in data]
        case {"!tuple": items}:
            return tuple(_read(item, None, where) for item in items)
        case {"!deque": items, "longest": longest}:
            return deque((_read(item, None, where) for item in items), maxlen=longest)
        case {"!kept": _}:
            raise StateUnfit(f"{where}: an object that `__init__` does not make cannot be restored; make it there")
        case dict() if len(data) == 1 and (tag := next(iter(data))).startswith(_MARK):
            return _tagged(tag.removeprefix(_MARK), data[tag], where)
        case dict():
            within = fresh if isinstance(fresh, dict) else {}
            return {key: _read(item, within.get(key), f"{where}[{key}]") for key, item in data.items()}
    return data


def _tagged(name: str, data: Any, where: str) -> Any:
    if name not in _TYPES:
        raise StateUnfit(f"{where}: the snapshot holds an unknown {name}")
    try:
        return _TYPES[name][2](data)
    except (ValueError, ArithmeticError, TypeError) as error:
        raise StateUnfit(f"{where}: the snapshot holds no {name}: {error}") from None
