"""`alphapanda strategy`: what it lists and shows, and that what it writes works."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from alphapanda.commands.strategy import app
from alphapanda.domain.errors import InvalidValueError
from alphapanda.strategies.contract import StrategyError
from alphapanda.strategies.registry import BUILT_IN, deploy
from alphapanda.strategies.skeleton import write


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_a_new_strategy_is_written_with_a_test_that_passes(tmp_path: Path) -> None:
    written = write("my-idea", tmp_path / "strategies")
    tested = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", written.test],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "4 passed" in tested.stdout


def test_a_new_strategy_is_deployed_like_any_other(tmp_path: Path) -> None:
    written = write("my-idea-2", tmp_path)
    assert written.reference == "my_idea_2.py:MyIdea2"
    assert deploy(written.reference, {"window": 5}, folder=tmp_path).strategy_id == "my-idea-2"


@pytest.mark.parametrize("name", ["My-Idea", "my_idea", "2fast", "-x", "import", "a" * 41, "", "a/../b", "sma-cross"])
def test_a_name_that_will_not_do_is_refused_and_nothing_is_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match=r"^NAME: "):
        write(name, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_nothing_that_exists_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text("precious")
    with pytest.raises(InvalidValueError, match=r"test_mine\.py exists already"):
        write("mine", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["test_mine.py"]


def test_the_list_has_every_built_in_with_its_description() -> None:
    rows = {row["name"]: row for row in json.loads(run("list", "--json").stdout)}
    assert rows.keys() >= BUILT_IN.keys()
    assert rows["pairs"] == {
        "name": "pairs",
        "version": "1",
        "origin": "built in",
        "description": "Trades the spread of two instruments back to its mean.",
    }
    assert "sma-cross" in run("list").stdout


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_a_strategy_is_shown_with_every_parameter_and_its_rule(name: str) -> None:
    shown = json.loads(run("show", name, "--json").stdout)
    assert shown["description"].startswith(f"`{name}`")
    assert [row["parameter"] for row in shown["parameters"]] == list(BUILT_IN[name].Params.model_fields)
    assert all(row["description"] and row["default"] != "required" for row in shown["parameters"])


def test_the_rule_of_a_parameter_is_told_in_words() -> None:
    rows = {row["parameter"]: row for row in json.loads(run("show", "pairs", "--json").stdout)["parameters"]}
    assert rows["ratio"]["rule"] == "above 0, at most 1000"
    shown = run("show", "sma-cross").stdout
    assert "integer or null" in shown
    assert "at least 2, at most 10000" in shown


def test_a_strategy_that_is_not_there_is_an_error_of_its_own() -> None:
    result = run("show", "nope")
    assert isinstance(result.exception, StrategyError)


def test_new_tells_what_to_do_next(tmp_path: Path) -> None:
    result = run("new", "my-idea", "--dir", str(tmp_path))
    assert result.exit_code == 0
    assert f"pytest {tmp_path}/test_my_idea.py" in result.stdout
    assert f"{tmp_path}/my_idea.py:MyIdea" in result.stdout
