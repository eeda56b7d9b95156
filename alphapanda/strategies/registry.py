"""Strategies by name, and their parameters checked before anything runs."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from alphapanda.domain.ids import StrategyId
from alphapanda.strategies.bollinger_reversion import BollingerReversion
from alphapanda.strategies.deployment import AnyStrategy, Deployment
from alphapanda.strategies.ema_cross import EmaCross
from alphapanda.strategies.errors import StrategyError
from alphapanda.strategies.loading import from_entry_point, from_reference, installed
from alphapanda.strategies.momentum_breakout import MomentumBreakout
from alphapanda.strategies.opening_range import OpeningRange
from alphapanda.strategies.pairs import Pairs
from alphapanda.strategies.rsi_reversion import RsiReversion
from alphapanda.strategies.sma_cross import SmaCross
from alphapanda.strategies.vwap_reversion import VwapReversion

__all__ = [
    "BUILT_IN",
    "AnyStrategy",
    "Deployment",
    "StrategyUnknown",
    "available",
    "deploy",
    "deploy_all",
    "find",
]

BUILT_IN: Mapping[str, type[AnyStrategy]] = {
    strategy.name: strategy
    for strategy in (
        SmaCross,
        EmaCross,
        RsiReversion,
        BollingerReversion,
        MomentumBreakout,
        OpeningRange,
        VwapReversion,
        Pairs,
    )
}


class StrategyUnknown(StrategyError):  # noqa: N818 - named for the condition
    code = "STRATEGY_UNKNOWN"
    default_next_action = "Name a strategy of `alphapanda strategy list`, or `package.module:ClassName` of your own."


def available() -> dict[str, str]:
    """Every strategy that has a name, and where it comes from: `built in`, or an installed `module:ClassName`."""
    return {**{name: point.value for name, point in installed().items()}, **dict.fromkeys(BUILT_IN, "built in")}


def find(name: str, folder: Path | None = None) -> type[AnyStrategy]:
    """The strategy of that name, `package.module:ClassName`, or `file.py:ClassName` (relative to `folder`, else here).

    A built-in wins over an installed one of its name. Raises StrategyUnknown, or StrategyError saying what it lacks.
    """
    if ":" in name:
        return from_reference(name, folder or Path())
    if name in BUILT_IN:
        return BUILT_IN[name]
    points = installed()
    if name in points:
        return from_entry_point(points[name])
    raise StrategyUnknown(f"strategy {name!r} does not exist (there are: {', '.join(sorted(available()))})")


def deploy(
    name: str,
    params: Mapping[str, Any] | None = None,
    *,
    defaults: Mapping[str, Any] | None = None,
    folder: Path | None = None,
) -> Deployment:
    """The strategy `find` gives, with `params` over `defaults` (those it declares) over its own defaults.

    Raises StrategyUnknown, or StrategyError naming the field.
    """
    strategy = find(name, folder)
    own = {field: value for field, value in (defaults or {}).items() if field in strategy.Params.model_fields}
    try:
        checked = strategy.Params.model_validate({**own, **(params or {})})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "parameters"
        raise StrategyError(f"strategy {name}, {field}: {first['msg']} (got {first['input']!r})") from None
    try:
        strategy.instruments_for(checked)
    except Exception as error:  # foreign code, and the feed asks it later where nothing may fail
        raise StrategyError(f"strategy {name}, instruments_for: {type(error).__name__}: {error}") from error
    return Deployment(strategy, checked, StrategyId(strategy.name))


def deploy_all(
    names: Iterable[str],
    params: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    defaults: Mapping[str, Any] | None = None,
) -> tuple[Deployment, ...]:
    """Each named strategy once, in order; `params` by that name. Raises StrategyError."""
    wanted = list(names)
    unused = sorted(set(params or {}) - set(wanted))
    if unused:
        raise StrategyError(f"strategy {unused[0]}: has parameters but is not among those to run")
    found = tuple(deploy(name, (params or {}).get(name), defaults=defaults) for name in wanted)
    counted = Counter(deployment.strategy_id for deployment in found)
    twice = [strategy_id for strategy_id, count in counted.items() if count > 1]
    if twice:
        # Both would derive the same signal ids, so the second could never trade.
        raise StrategyError(f"strategy {twice[0]}: named twice")
    return found
