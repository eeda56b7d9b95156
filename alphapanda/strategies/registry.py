"""Strategies by name, and their parameters checked before anything runs."""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from alphapanda.domain.ids import StrategyId
from alphapanda.strategies.bollinger_reversion import BollingerReversion
from alphapanda.strategies.deployment import AnyStrategy, Deployment
from alphapanda.strategies.ema_cross import EmaCross
from alphapanda.strategies.errors import StrategyError
from alphapanda.strategies.momentum_breakout import MomentumBreakout
from alphapanda.strategies.opening_range import OpeningRange
from alphapanda.strategies.pairs import Pairs
from alphapanda.strategies.rsi_reversion import RsiReversion
from alphapanda.strategies.sma_cross import SmaCross
from alphapanda.strategies.vwap_reversion import VwapReversion

__all__ = ["BUILT_IN", "AnyStrategy", "Deployment", "StrategyUnknown", "deploy", "deploy_all"]

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
    default_next_action = "Name strategies that exist in ALPHAPANDA_FEED__STRATEGIES."


def deploy(name: str, params: Mapping[str, Any] | None = None) -> Deployment:
    """The named strategy with `params` over its defaults. Raises StrategyUnknown, or StrategyError naming the field."""
    strategy = BUILT_IN.get(name)
    if strategy is None:
        raise StrategyUnknown(f"strategy {name!r} does not exist (there are: {', '.join(sorted(BUILT_IN))})")
    try:
        checked = strategy.Params.model_validate(params or {})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "parameters"
        raise StrategyError(f"strategy {name}, {field}: {first['msg']} (got {first['input']!r})") from None
    return Deployment(strategy, checked, StrategyId(name))


def deploy_all(names: Iterable[str], params: Mapping[str, Mapping[str, Any]] | None = None) -> tuple[Deployment, ...]:
    """Each named strategy once, in order; `params` by strategy name. Raises StrategyError."""
    wanted = list(names)
    twice = sorted({name for name in wanted if wanted.count(name) > 1})
    if twice:
        # Both would derive the same signal ids, so the second could never trade.
        raise StrategyError(f"strategy {twice[0]}: named twice")
    unused = sorted(set(params or {}) - set(wanted))
    if unused:
        raise StrategyError(f"strategy {unused[0]}: has parameters but is not among those to run")
    return tuple(deploy(name, (params or {}).get(name)) for name in wanted)
