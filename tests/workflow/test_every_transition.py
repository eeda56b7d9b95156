"""Every transition of the table is taken by a workflow test, which is held to it, or stands here with its reason."""

import importlib
import pkgutil
from collections.abc import Iterator

import pytest

import tests.workflow
from alphapanda.domain.states import TRANSITIONS, OrderState
from tests.workflow.support import claimed

S = OrderState

PASSED = "APPROVED is entered and left within one ledger step, so nothing can happen to an order in it"
NOT_TAKEN: dict[tuple[OrderState, OrderState], str] = {
    (S.RECEIVED, S.CANCELLED): "the first check runs before any command is taken; the cancel then meets its outcome",
    (S.APPROVED, S.CANCELLED): PASSED,
    (S.APPROVED, S.EXPIRED): PASSED,
    (S.APPROVED, S.FAILED): PASSED,
}
"""Legal, so that a ledger that holds one is not called broken, and not taken by today's workflow."""


def marks() -> Iterator[pytest.Mark]:
    for module in pkgutil.iter_modules(tests.workflow.__path__):
        if module.name.startswith("test_"):
            for item in vars(importlib.import_module(f"tests.workflow.{module.name}")).values():
                yield from (mark for mark in getattr(item, "pytestmark", ()) if mark.name == "exercises")


def test_every_transition_of_the_table_is_exercised() -> None:
    table = {(state, to) for state, targets in TRANSITIONS.items() for to in targets}
    exercised = claimed(marks())
    assert exercised - table == set(), "tests claim transitions the table does not have"
    assert table - exercised - set(NOT_TAKEN) == set(), "transitions no workflow test takes"
    assert exercised & set(NOT_TAKEN) == set(), "listed as not taken, and taken"


def test_every_state_is_entered() -> None:
    assert {to for _, to in claimed(marks())} == set(OrderState)
