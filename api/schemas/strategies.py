"""Strategies that can be run."""

from typing import Any

from pydantic import ConfigDict, Field

from api.schemas.base import ListOut, Out


class StrategyOut(Out):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "strategy_id": "sma-cross",
                    "version": "1",
                    "description": "Trades the crossing of two moving averages.",
                    "enabled": True,
                    "parameters": {"fast_bars": 10, "slow_bars": 30},
                }
            ]
        }
    )

    strategy_id: str
    version: str
    description: str
    enabled: bool = Field(description="Whether ALPHAPANDA_FEED__STRATEGIES names it for the feed.")
    parameters: dict[str, Any] = Field(description="With their defaults.")


class StrategyList(ListOut[StrategyOut]):
    pass
