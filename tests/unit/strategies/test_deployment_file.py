"""The deployment file: what it may say, and errors that name file, entry, field and rule."""

from datetime import time
from pathlib import Path

import pytest

from alphapanda.domain.ids import Broker
from alphapanda.strategies.deployment import Deployment, Limits, Schedule
from alphapanda.strategies.deployment_file import DeploymentFileError, load_deployments
from alphapanda.strategies.pairs import Pairs
from alphapanda.strategies.sma_cross import SmaCross, SmaCrossParams

ACTIVE = (Broker("paper"), Broker("zerodha"))
WHOLE = """
strategies:
  - id: infy-cross
    strategy: sma-cross
    brokers: [paper]
    instruments: [NSE:INFY, "NSE:M&M"]
    parameters: {fast: 3, slow: 9}
    schedule: {from: 09:30, to: 15:00}
    limits: {max_quantity: 50, max_signals_per_day: 20}
  - strategy: sma-cross
  - id: banks
    strategy: pairs
    parameters:
      first: NSE:AXISBANK
  - {strategy: momentum-breakout, enabled: no}
"""


def loaded(folder: Path, text: str) -> tuple[Deployment, ...]:
    path = folder / "desk.yaml"
    path.write_text(text)
    return load_deployments(path, ACTIVE)


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(DeploymentFileError) as caught:
        loaded(folder, text)
    assert caught.value.code == "DEPLOYMENTS_INVALID"
    return str(caught.value).replace(f"{folder}/", "")


def test_a_whole_entry_is_read(tmp_path: Path) -> None:
    first, second, third = loaded(tmp_path, WHOLE)
    assert first == Deployment(
        SmaCross,
        SmaCrossParams(fast=3, slow=9),
        first.strategy_id,
        brokers=(Broker("paper"),),
        instruments=("NSE:INFY", "NSE:M&M"),
        schedule=Schedule(time(9, 30), time(15, 0)),
        limits=Limits(max_quantity=50, max_signals_per_day=20),
    )
    assert (first.strategy_id, second.strategy_id, third.strategy_id) == ("infy-cross", "sma-cross", "banks")
    assert second == Deployment(SmaCross, SmaCrossParams(), second.strategy_id)
    assert (third.strategy, third.together) == (Pairs, ("NSE:AXISBANK", "NSE:ICICIBANK"))


def test_the_same_text_gives_equal_deployments(tmp_path: Path) -> None:
    assert loaded(tmp_path, WHOLE) == loaded(tmp_path, WHOLE)


def test_no_strategies_are_a_valid_choice(tmp_path: Path) -> None:
    assert loaded(tmp_path, "strategies: []") == ()


def test_a_file_of_ones_own_is_found_beside_the_deployment_file(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from alphapanda.strategies.sma_cross import SmaCross\n\nclass Own(SmaCross):\n    name = 'own'\n"
    )
    (own,) = loaded(tmp_path, "strategies: [{strategy: 'own.py:Own'}]")
    assert own.strategy_id == "own"


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("strategy: sma-crossover", "entry 1 (sma-crossover): strategy 'sma-crossover' does not exist"),
        ("id: a", "entry 1 (a), strategy: Field required"),
        ("strategy: sma-cross, speed: 3", "entry 1 (sma-cross), speed: Extra inputs are not permitted (got 3)"),
        ("strategy: sma-cross, id: a b", "entry 1 (a b), id: String should match pattern"),
        (
            "strategy: sma-cross, parameters: {fast: 0}",
            "entry 1 (sma-cross): strategy sma-cross, fast: Input should be greater than or equal to 1 (got 0)",
        ),
        (
            "strategy: sma-cross, enabled: false, parameters: {fast: 0}",
            "entry 1 (sma-cross): strategy sma-cross, fast:",
        ),
        (
            "strategy: sma-cross, brokers: [zerodah]",
            "entry 1 (sma-cross), brokers: zerodah is none of the active ones (paper, zerodha)",
        ),
        ("strategy: sma-cross, brokers: []", "entry 1 (sma-cross), brokers: Tuple should have at least 1 item"),
        ("strategy: sma-cross, brokers: [paper, paper]", "entry 1 (sma-cross), brokers: each may be named once"),
        ("strategy: sma-cross, instruments: [INFY]", "entry 1 (sma-cross), instruments.1: String should match pattern"),
        (
            "strategy: sma-cross, instruments: ['NSE:INFY', 'NSE:INFY']",
            "entry 1 (sma-cross), instruments: each may be named once",
        ),
        (
            "strategy: pairs, instruments: ['NSE:INFY']",
            "entry 1 (pairs), instruments: its parameters name them (NSE:HDFCBANK, NSE:ICICIBANK); leave it out",
        ),
        (
            "strategy: sma-cross, schedule: {from: 15:00, to: 09:30}",
            "entry 1 (sma-cross), schedule: Value error, to: 09:30 must be later than from (15:00)",
        ),
        (
            "strategy: sma-cross, schedule: {from: 930, to: 15:00}",
            "entry 1 (sma-cross), schedule: Value error, from: 930 must be a time of day such as 09:30",
        ),
        ("strategy: sma-cross, schedule: {from: 09:30}", "entry 1 (sma-cross), schedule.to: Field required"),
        (
            "strategy: sma-cross, limits: {max_quantity: 0}",
            "entry 1 (sma-cross), limits.max_quantity: Input should be greater than or equal to 1 (got 0)",
        ),
        ("strategy: sma-cross, enabled: 1", "entry 1 (sma-cross), enabled: Input should be a valid boolean (got 1)"),
        (
            "strategy: sma-cross}, {strategy: sma-cross",
            "entry 2 (sma-cross), id: sma-cross is another entry's; give each its own",
        ),
        ("strategy: 'gone.py:Gone'", "entry 1 (gone.py:Gone): strategy gone.py:Gone: "),
    ],
)
def test_an_error_names_file_entry_field_and_rule(entry: str, said: str, tmp_path: Path) -> None:
    assert f"desk.yaml, {said}" in refusal(tmp_path, f"strategies: [{{{entry}}}]")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "desk.yaml, file: Input should be a valid dictionary"),
        ("strategies: sma-cross", "desk.yaml, strategies: Input should be a valid tuple"),
        ("strategies: [sma-cross]", "desk.yaml, strategies.1: Input should be a valid dictionary (got 'sma-cross')"),
        ("strategy: []", "desk.yaml, strategies: Field required"),
        ("strategies: []\nstrategies: []", "desk.yaml, line 2: strategies is given twice"),
        ("strategies:\n- {", "desk.yaml, line 2: "),
        ("? [a]\n: 1", "desk.yaml, line 1: found unhashable key"),
        ("a: !!python/object:os.system x", "desk.yaml, line 1: could not determine a constructor"),
    ],
)
def test_a_file_of_another_shape_is_refused(text: str, said: str, tmp_path: Path) -> None:
    assert said in refusal(tmp_path, text)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeploymentFileError, match=r"none\.yaml: cannot be read: .*No such file"):
        load_deployments(tmp_path / "none.yaml", ACTIVE)
