"""Strategies that others wrote: from a file, a module, an entry point; and what an unusable one lacks."""

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from alphapanda.strategies.contract import StrategyError
from alphapanda.strategies.loading import from_entry_point, from_reference
from alphapanda.strategies.registry import BUILT_IN, StrategyUnknown, available, deploy, deploy_all, find
from alphapanda.strategies.sma_cross import SmaCross

SOUND = """
from alphapanda.strategies.contract import Intent, Strategy, StrategyParams

class Params(StrategyParams):
    size: int = 3

class Mine(Strategy[Params]):
    name, version, Params = "mine", "1", Params

    def on_tick(self, tick):
        return ()
"""


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "mine.py"
    path.write_text(SOUND)
    yield path
    for name in [name for name in sys.modules if name.startswith("alphapanda_strategy_mine_")]:
        del sys.modules[name]


def refusal(reference: str, folder: Path) -> str:
    with pytest.raises(StrategyError) as caught:
        from_reference(reference, folder)
    return str(caught.value)


def test_a_strategy_is_loaded_from_a_file_beside_the_folder_given(written: Path) -> None:
    deployment = deploy("mine.py:Mine", {"size": 5}, folder=written.parent)
    assert deployment.strategy_id == "mine"
    assert deployment.params.model_dump() == {"size": 5}
    assert find(f"{written}:Mine") is deployment.strategy


def test_a_file_that_has_changed_is_another_strategy_and_one_that_has_not_is_the_same(written: Path) -> None:
    first = from_reference("mine.py:Mine", written.parent)
    written.touch()
    assert from_reference("mine.py:Mine", written.parent) is first
    written.write_text(SOUND.replace('"1"', '"2"'))
    second = from_reference("mine.py:Mine", written.parent)
    assert (first.version, second.version) == ("1", "2")


def test_a_strategy_is_loaded_from_an_importable_module() -> None:
    assert find("alphapanda.strategies.sma_cross:SmaCross") is SmaCross


def test_a_strategy_is_loaded_from_an_installed_packages_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "bought-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: bought\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text(
        "[alphapanda.strategies]\nbought-mine = bought_strategies:Mine\nsma-cross = bought_strategies:Mine\n"
        "bought-broken = bought_strategies:Other\n"
    )
    (tmp_path / "bought_strategies.py").write_text(SOUND)
    monkeypatch.syspath_prepend(tmp_path)
    assert find("bought-mine").name == "mine"
    assert available()["bought-mine"] == "bought_strategies:Mine"
    assert (available()["sma-cross"], find("sma-cross")) == ("built in", SmaCross)
    with pytest.raises(StrategyError, match="strategy bought-broken: bought_strategies:Other cannot be loaded"):
        find("bought-broken")


def test_an_unknown_name_tells_of_every_known_one() -> None:
    with pytest.raises(StrategyUnknown) as caught:
        find("mine")
    assert all(name in str(caught.value) for name in BUILT_IN)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("class Mine", "class Other"), "has no Mine (strategies there: Other)"),
        (("class Mine(Strategy[Params])", "class Mine"), "is no class derived from"),
        (('"mine"', "'not a name'"), "name: 'not a name' must be 1-64 of letters"),
        (('"1"', "1"), "version: 1 must be a text such as '1'"),
        (('"1", Params', '"1", dict'), "Params: must be a class derived from StrategyParams"),
        (("on_tick", "on_tock"), "has none of on_tick, on_bar, on_fill, so it could never trade"),
        (("import Intent", "import Intention"), "cannot be run: ImportError"),
        (("class Mine", "klass Mine"), "cannot be run: SyntaxError"),
    ],
)
def test_an_unusable_file_is_refused_by_what_is_wrong_with_it(
    change: tuple[str, str], said: str, written: Path
) -> None:
    written.write_text(SOUND.replace(*change))
    assert said in refusal("mine.py:Mine", written.parent)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    assert "nothing.py cannot be read: No such file or directory" in refusal("nothing.py:Mine", tmp_path)
    assert "no_such_module cannot be imported: ModuleNotFoundError" in refusal("no_such_module:Mine", tmp_path)
    assert "cannot be imported" in refusal(":Mine", tmp_path)


def test_an_entry_point_that_is_no_strategy_is_refused() -> None:
    with pytest.raises(StrategyError, match="strategy json: is no class derived from"):
        from_entry_point(EntryPoint("json", "json:loads", "alphapanda.strategies"))


def test_defaults_of_the_desk_go_to_those_who_declare_them_and_lose_to_what_is_given(written: Path) -> None:
    defaults = {"bar_seconds": 300}
    assert deploy("sma-cross", defaults=defaults).params.model_dump()["bar_seconds"] == 300
    assert deploy("sma-cross", {"bar_seconds": 60}, defaults=defaults).params.model_dump()["bar_seconds"] == 60
    assert deploy("mine.py:Mine", defaults=defaults, folder=written.parent).params.model_dump() == {"size": 3}


def test_two_references_to_one_strategy_are_refused() -> None:
    with pytest.raises(StrategyError, match="strategy sma-cross: named twice"):
        deploy_all(["sma-cross", "alphapanda.strategies.sma_cross:SmaCross"])


def test_a_strategy_that_cannot_say_what_it_needs_is_refused(written: Path) -> None:
    written.write_text(
        SOUND + "\n    @classmethod\n    def instruments_for(cls, params):\n        return params.pair\n"
    )
    with pytest.raises(StrategyError, match=r"strategy mine\.py:Mine, instruments_for: AttributeError"):
        deploy("mine.py:Mine", folder=written.parent)
