"""The file that says which strategies run, with what, on what, and when.

    strategies:
      - id: infy-cross                 # under which its signals appear; default: the strategy's name
        strategy: sma-cross            # a name, package.module:ClassName, or file.py:ClassName beside this file
        brokers: [paper]               # default: all active ones
        instruments: [NSE:INFY]        # default: all that the feed quotes
        parameters: {fast: 6, slow: 20}
        schedule: {from: 09:30, to: 15:00}      # Indian time; default: always
        limits: {max_quantity: 50, max_signals_per_day: 20}
        enabled: true

Everything is checked before anything runs, disabled entries too; an error names file, entry, field and rule.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from alphapanda.domain.ids import STRATEGY_ID_PATTERN, Broker, StrategyId
from alphapanda.domain.signal import MAX_QUANTITY
from alphapanda.domain.vocabulary import Exchange
from alphapanda.strategies.deployment import Deployment, Limits, Schedule
from alphapanda.strategies.errors import StrategyError
from alphapanda.strategies.plain_yaml import parsed
from alphapanda.strategies.registry import deploy

_EXCHANGES = "|".join(Exchange)
_Key = Annotated[str, Field(pattern=rf"^({_EXCHANGES}):[A-Za-z0-9][A-Za-z0-9 &._-]*$")]
_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?")


class DeploymentFileError(StrategyError):
    """The file cannot be read or breaks a rule; the message names file, entry, field and rule."""

    code = "DEPLOYMENTS_INVALID"
    default_next_action = "Correct the named field; `alphapanda strategy show` tells a strategy's parameters."


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Schedule(_Entry):
    begins: time = Field(alias="from")
    ends: time = Field(alias="to")

    @model_validator(mode="before")
    @classmethod
    def _are_clock_times(cls, value: Any) -> Any:
        if isinstance(value, Mapping):
            for name in ("from", "to"):
                if name in value and not (isinstance(value[name], str) and _CLOCK.fullmatch(value[name])):
                    raise ValueError(f"{name}: {value[name]!r} must be a time of day such as 09:30")
        return value

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.begins >= self.ends:
            raise ValueError(f"to: {self.ends:%H:%M} must be later than from ({self.begins:%H:%M})")
        return self


class _Limits(_Entry):
    max_quantity: int | None = Field(default=None, ge=1, le=MAX_QUANTITY, strict=True)
    max_signals_per_day: int | None = Field(default=None, ge=1, strict=True)


class _Wanted(_Entry):
    """One entry as it is written."""

    id: str | None = Field(default=None, pattern=STRATEGY_ID_PATTERN)
    strategy: str = Field(min_length=1)
    brokers: tuple[str, ...] | None = Field(default=None, min_length=1)
    instruments: tuple[_Key, ...] | None = Field(default=None, min_length=1)
    parameters: dict[str, Any] = Field(default_factory=dict)
    schedule: _Schedule | None = None
    limits: _Limits = _Limits()
    enabled: bool = Field(default=True, strict=True)


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    strategies: tuple[dict[str, Any], ...]


def load_deployments(
    path: Path, active: Sequence[Broker], *, defaults: Mapping[str, Any] | None = None
) -> tuple[Deployment, ...]:
    """The enabled deployments of the file, in its order. `active`: the brokers it may name.

    `defaults`: see `deploy`. Raises DeploymentFileError.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DeploymentFileError(f"{path}: cannot be read: {error}") from error
    try:
        entries = _File.model_validate(_parsed(path, text)).strategies
    except ValidationError as error:
        raise DeploymentFileError(f"{path}, {_first(error)}") from None
    found: list[tuple[Deployment, bool]] = []
    for number, entry in enumerate(entries, start=1):
        where = f"{path}, entry {number} ({entry.get('id') or entry.get('strategy') or 'no id'})"
        deployment, enabled = _deployed(where, entry, path.parent, active, defaults)
        if any(deployment.strategy_id == other.strategy_id for other, _ in found):
            raise DeploymentFileError(f"{where}, id: {deployment.strategy_id} is another entry's; give each its own")
        found.append((deployment, enabled))
    return tuple(deployment for deployment, enabled in found if enabled)


def _deployed(
    where: str, entry: Mapping[str, Any], folder: Path, active: Sequence[Broker], defaults: Mapping[str, Any] | None
) -> tuple[Deployment, bool]:
    try:
        wanted = _Wanted.model_validate(entry)
    except ValidationError as error:
        raise DeploymentFileError(f"{where}, {_first(error)}") from None
    try:
        deployment = deploy(wanted.strategy, wanted.parameters, defaults=defaults, folder=folder)
    except StrategyError as error:
        raise DeploymentFileError(f"{where}: {error}") from error
    for broker in wanted.brokers or ():
        if broker not in active:
            raise DeploymentFileError(f"{where}, brokers: {broker} is none of the active ones ({', '.join(active)})")
    for name in ("brokers", "instruments"):
        given = getattr(wanted, name) or ()
        if len(set(given)) != len(given):
            raise DeploymentFileError(f"{where}, {name}: each may be named once")
    if wanted.instruments is not None and deployment.together is not None:
        named = ", ".join(deployment.together)
        raise DeploymentFileError(f"{where}, instruments: its parameters name them ({named}); leave it out")
    return (
        replace(
            deployment,
            strategy_id=StrategyId(wanted.id) if wanted.id else deployment.strategy_id,
            brokers=tuple(map(Broker, wanted.brokers)) if wanted.brokers else None,
            instruments=wanted.instruments,
            schedule=Schedule(wanted.schedule.begins, wanted.schedule.ends) if wanted.schedule else None,
            limits=Limits(wanted.limits.max_quantity, wanted.limits.max_signals_per_day),
        ),
        wanted.enabled,
    )


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part + 1 if isinstance(part, int) else part) for part in first["loc"]) or "file"
    return f"{field}: {first['msg']} (got {first['input']!r})"


def _parsed(path: Path, text: str) -> Any:
    try:
        return parsed(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise DeploymentFileError(f"{path}{line}: {getattr(error, 'problem', None) or error}") from None
