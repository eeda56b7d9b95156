from pathlib import Path

import pytest

from alphapanda.domain.reasons import ReasonCode
from alphapanda.reference import TABLES, rendered

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_generated_tables_in_the_docs_match_the_code(page: Path) -> None:
    text = page.read_text()
    assert rendered(text) == text, "run `make docs`"


def test_every_generated_table_stands_in_some_page() -> None:
    pages = "".join(page.read_text() for page in DOCS.glob("*.md"))
    assert [name for name in TABLES if f"<!-- {name} -->" not in pages] == []


def test_every_reason_code_is_given_somewhere() -> None:
    root = DOCS.parent
    sources = [
        path.read_text()
        for package in ("alphapanda", "workflows", "activities")
        for path in (root / package).rglob("*.py")
        if path.name != "reasons.py"
    ]
    used = "".join(sources)
    assert [code.name for code in ReasonCode if f"ReasonCode.{code.name}" not in used] == []
