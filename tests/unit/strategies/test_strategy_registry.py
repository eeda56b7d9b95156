"""Strategies by name, with parameters that are checked before anything runs."""

import pytest

from alphapanda.strategies.contract import StrategyError
from alphapanda.strategies.registry import BUILT_IN, StrategyUnknown, deploy, deploy_all
from alphapanda.strategies.sma_cross import SmaCross, SmaCrossParams


def test_a_strategy_is_deployed_by_name_with_its_defaults() -> None:
    deployment = deploy("sma-cross")
    assert deployment.strategy is SmaCross
    assert deployment.params == SmaCrossParams()
    assert deployment.strategy_id == "sma-cross"


def test_given_parameters_replace_defaults() -> None:
    assert deploy("sma-cross", {"fast": 3, "slow": 9}).params == SmaCrossParams(fast=3, slow=9)


def test_an_unknown_name_is_refused_and_the_known_ones_are_listed() -> None:
    with pytest.raises(StrategyUnknown) as caught:
        deploy("sma-crossover")
    known = ", ".join(sorted(BUILT_IN))
    assert str(caught.value) == f"strategy 'sma-crossover' does not exist (there are: {known})"
    assert caught.value.code == "STRATEGY_UNKNOWN"


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"fast": 0}, "strategy sma-cross, fast: Input should be greater than or equal to 1 (got 0)"),
        ({"speed": 3}, "strategy sma-cross, speed: Extra inputs are not permitted (got 3)"),
        (
            {"bar_seconds": 7},
            "strategy sma-cross, bar_seconds: Value error, 7 must be a number of seconds that divides",
        ),
        ({"fast": 30}, "fast: 30 must be smaller than slow (20)"),
    ],
)
def test_a_bad_parameter_is_refused_by_name_and_rule(params: dict[str, int], said: str) -> None:
    with pytest.raises(StrategyError) as caught:
        deploy("sma-cross", params)
    assert said in str(caught.value)
    assert caught.value.code == "STRATEGY_INVALID"


def test_a_strategy_named_twice_is_refused() -> None:
    with pytest.raises(StrategyError, match="strategy sma-cross: named twice"):
        deploy_all(["sma-cross", "momentum-breakout", "sma-cross"])


def test_parameters_of_a_strategy_that_does_not_run_are_refused() -> None:
    with pytest.raises(StrategyError, match="momentum-breakout: has parameters"):
        deploy_all(["sma-cross"], {"momentum-breakout": {"entry_bars": 3}})


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_built_in_is_complete(name: str) -> None:
    strategy = BUILT_IN[name]
    assert strategy.name == name
    assert strategy.version
    assert all(field.description for field in strategy.Params.model_fields.values())
