"""`alphapanda rehearse` as people run it, in a small size: every fault once, and both sets of books the same."""

import json
from pathlib import Path
from typing import Any

import pytest

from alphapanda.kitesim.faults import Fault
from tests.integration.processes import Program, ask, command, descendants, environment, until_gone

SIZE = ("--orders", "62", "--kills", "1")


@pytest.fixture(scope="module")
def rehearsed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The verdict as JSON; on a failure, the whole of it and the logs are kept."""
    folder = tmp_path_factory.mktemp("rehearsal")
    # What a user has set for a desk of his own, real servers and a real account maybe, has no part in it.
    own = environment(DATABASE__URL="postgresql://nobody@127.0.0.1:1/none", ZERODHA__API_ROOT="https://127.0.0.1:1")
    program = Program(
        command("alphapanda.cli", "rehearse", *SIZE, "--json", "--data-dir", str(folder / "data")), folder / "said", own
    )
    try:
        status = program.process.wait(280)
    finally:
        if program.process.poll() is None:
            everything = descendants(program.pid)
            program.process.kill()
            program.process.wait()
            until_gone(everything)
    said = program.output()
    assert status == 0, said
    document: dict[str, Any] = json.loads(said[said.index("\n{\n") :])
    return document


def test_a_storm_leaves_no_duplicate_nothing_lost_and_equal_books(rehearsed: dict[str, Any]) -> None:
    wrong = [check for check in rehearsed["checks"] if not check["ok"]]
    assert (rehearsed["verdict"], wrong) == ("PASS", [])
    found = {check["name"]: check["found"] for check in rehearsed["checks"]}
    for name in ("duplicates", "lost", "unexplained", "orders told differently", "sent on a dead session"):
        assert found[name] == "0"


def test_every_fault_struck_and_the_worker_was_killed(rehearsed: dict[str, Any]) -> None:
    assert set(rehearsed["faults"]) == {fault.value for fault in Fault}
    assert rehearsed["kills"] == 1


def test_what_could_not_be_settled_was_parked_and_decided_by_the_book(rehearsed: dict[str, Any]) -> None:
    decided = [each for each in rehearsed["parked"] if each["resolved"]]
    assert decided
    assert {each["because"].partition(" as ")[0] for each in decided} <= {"in the book", "not in the book"}


def test_a_folder_that_holds_something_is_not_rehearsed_in(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_text("mine")
    answer = ask("rehearse", "--data-dir", str(tmp_path), variables=environment())
    assert answer.returncode != 0
    assert "is not empty" in answer.stderr
    assert [each.name for each in tmp_path.iterdir()] == ["ledger"]


def test_a_storm_too_small_to_hold_every_fault_is_refused() -> None:
    answer = ask("rehearse", "--orders", "5", variables=environment())
    assert answer.returncode != 0
    assert "--orders:" in answer.stderr
