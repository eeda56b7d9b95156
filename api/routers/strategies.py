"""Strategies: the built-in ones, and which of them the feed is told to run."""

import inspect

from fastapi import APIRouter

from alphapanda.strategies.registry import BUILT_IN, deploy
from api.dependencies import ServicesDep
from api.documented import problems
from api.schemas.strategies import StrategyList, StrategyOut

router = APIRouter(prefix="/strategies", tags=["strategies"])


@router.get("", summary="List strategies", responses=problems())
async def get_strategies(services: ServicesDep) -> StrategyList:
    """By name, with the parameters' defaults."""
    enabled = services.settings.feed.strategies
    return StrategyList(
        items=[
            StrategyOut(
                strategy_id=name,
                version=strategy.version,
                description=inspect.cleandoc(strategy.__doc__ or "").split("\n\n")[0],
                enabled=name in enabled,
                parameters=deploy(name).params.model_dump(mode="json"),
            )
            for name, strategy in sorted(BUILT_IN.items())
        ]
    )
