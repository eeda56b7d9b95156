"""docs/reconciliation.md and the tests of its scenarios are the same list."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "reconciliation.md"
NAMED = re.compile(r"`(test_\w+)`")
DEFINED = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)


def defined(folder: Path) -> set[str]:
    return {name for path in folder.rglob("test_*.py") for name in DEFINED.findall(path.read_text())}


def test_every_row_names_a_test_that_exists() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ") and line.count("|") == 4]
    scenarios = [row for row in rows if "**" not in row and not row.startswith(("| scenario", "|---"))]
    assert [row for row in scenarios if not NAMED.search(row)] == []
    assert set(NAMED.findall("".join(scenarios))) - defined(ROOT / "tests") == set()


def test_every_scenario_that_is_tested_stands_in_the_table() -> None:
    tested = set(DEFINED.findall((Path(__file__).parent / "test_scenarios.py").read_text()))
    assert tested - set(NAMED.findall(PAGE.read_text())) == set()
