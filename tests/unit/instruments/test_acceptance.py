"""Whether a dump as a whole may replace what is loaded."""

from datetime import date, timedelta
from typing import Any

import pytest

from alphapanda.instruments.acceptance import Rules, Standing, objection
from alphapanda.instruments.dump import read_dump
from tests.dumps import csv_of, share, shares

TODAY = date(2026, 11, 20)
NOTHING = Standing({}, None)


def judged(good: int, bad: int = 0, standing: Standing = NOTHING, **rules: Any) -> str | None:
    rows = [*shares(good), *(share(f"B{n}", 0) for n in range(bad))]
    return objection(read_dump(csv_of(*rows), as_of=TODAY, take=len), standing, Rules(**rules))


@pytest.mark.parametrize(("good", "bad", "fine"), [(1, 0, True), (8, 2, True), (8, 3, False), (0, 0, False)])
def test_a_fifth_may_be_bad(good: int, bad: int, fine: bool) -> None:
    assert (judged(good, bad) is None) is fine


@pytest.mark.parametrize(("had", "has", "fine"), [(10, 8, True), (10, 7, False), (0, 1, True), (5, 50, True)])
def test_a_fifth_may_have_gone(had: int, has: int, fine: bool) -> None:
    assert (judged(has, standing=Standing({"NSE": had}, TODAY)) is None) is fine


def test_a_small_dump_is_refused_where_many_rows_are_expected() -> None:
    assert judged(9, min_rows=10) == "it has 9 instruments, and at least 10 are expected"


def test_exchanges_a_dump_does_not_speak_for_are_missed_in_a_whole_one_only() -> None:
    standing = Standing({"NSE": 10, "NFO": 3}, TODAY)
    assert judged(10, standing=standing) is None
    assert judged(10, standing=standing, whole=True) == "it has shrunk: 0 instruments of NFO, where 3 are loaded"


@pytest.mark.parametrize(("days", "fine"), [(0, True), (-1, True), (1, False)])
def test_an_older_dump_does_not_replace_a_newer(days: int, fine: bool) -> None:
    assert (judged(10, standing=Standing({}, TODAY + timedelta(days=days))) is None) is fine


def test_a_person_overrules_age_and_size_and_nothing_else() -> None:
    newer = Standing({"NSE": 100}, TODAY + timedelta(days=1))
    assert judged(10, standing=newer, anyway=True) is None
    assert judged(1, 9, standing=newer, anyway=True) is not None
    assert judged(9, min_rows=10, anyway=True) is not None
