"""Reference tables in the documentation, generated from the code they describe.

`python -m alphapanda.reference` writes them between their markers under docs/; a test fails when they are stale.
"""

import re
import sys
from pathlib import Path

from alphapanda.brokers.zerodha.outcomes import outcome_table
from alphapanda.domain.reasons import ReasonCode
from alphapanda.domain.states import MEANINGS, TRANSITIONS, OrderState
from alphapanda.reconciliation.outcome import DriftKind


def lifecycle_table() -> str:
    """The states, what they mean, and where each leads."""
    rows = [
        f"| `{state}` | {MEANINGS[state]} | {_states(TRANSITIONS[state]) or 'nowhere: it has ended'} |"
        for state in OrderState
    ]
    return "\n".join(["| state | meaning | leads to |", "|---|---|---|", *rows])


def reason_table() -> str:
    """Every reason code with its explanation."""
    rows = [f"| `{code.value}` | {code.explanation} |" for code in ReasonCode]
    return "\n".join(["| code | meaning |", "|---|---|", *rows])


def drift_table() -> str:
    """Every kind of drift with what it means."""
    rows = [f"| `{kind.value}` | {kind.meaning} |" for kind in DriftKind]
    return "\n".join(["| kind | meaning |", "|---|---|", *rows])


def _states(states: frozenset[OrderState]) -> str:
    return ", ".join(f"`{state}`" for state in OrderState if state in states)


TABLES = {
    "lifecycle": lifecycle_table,
    "reasons": reason_table,
    "drift": drift_table,
    "zerodha-outcomes": outcome_table,
}


def rendered(text: str) -> str:
    """The text with the tables between `<!-- NAME -->` and `<!-- /NAME -->` made anew."""
    for name, table in TABLES.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        replacement = f"\\g<1>{table()}\n\\g<2>"
        text = re.sub(pattern, replacement, text, flags=re.DOTALL)
    return text


def main(folder: Path) -> None:
    for page in sorted(folder.glob("*.md")):
        page.write_text(rendered(page.read_text()))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
