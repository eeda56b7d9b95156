"""What counts only once it stands in two runs, and what a run that could not judge does to it."""

from datetime import timedelta

from alphapanda.reconciliation.grace import Grace
from alphapanda.reconciliation.outcome import Outcome
from tests.unit.reconciliation.books import LOST, NOW, booked, compare, ledger, ours, position, row, trade

LASTS = timedelta(seconds=10)
LATER = NOW + LASTS
ABSENT = compare(ledger(ours()), orders=[])
NOTHING = compare(ledger())
UNREAD = compare(ledger(ours()), orders=LOST)
THEIRS = compare(ledger(), trades=[trade()], orders=[row(tag=None, filled_quantity=4)], positions=[position(4)])


def keys(outcome: Outcome) -> list[str]:
    return [finding.key for finding in outcome.findings]


def test_a_difference_counts_from_the_second_run_that_is_far_enough_from_the_first() -> None:
    grace = Grace(LASTS)
    first = grace.stand(ABSENT, at=NOW)
    assert (keys(first.outcome), first.pending) == ([], True)
    assert grace.stand(ABSENT, at=NOW + LASTS / 2).pending
    third = grace.stand(ABSENT, at=LATER)
    assert (keys(third.outcome), third.pending) == (["zerodha:one"], False)


def test_a_difference_that_was_gone_in_between_starts_anew() -> None:
    grace = Grace(LASTS)
    grace.stand(ABSENT, at=NOW)
    grace.stand(NOTHING, at=NOW + LASTS / 2)
    assert keys(grace.stand(ABSENT, at=LATER).outcome) == []


def test_a_run_that_could_not_judge_neither_counts_nor_interrupts() -> None:
    grace = Grace(LASTS)
    grace.stand(ABSENT, at=NOW)
    assert keys(grace.stand(UNREAD, at=LATER).outcome) == []
    assert keys(grace.stand(ABSENT, at=LATER + LASTS).outcome) == ["zerodha:one"]


def test_trades_of_others_are_adopted_on_the_second_look() -> None:
    grace = Grace(LASTS)
    first = grace.stand(THEIRS, at=NOW)
    assert (first.outcome.adoptions, first.pending) == ((), True)
    second = grace.stand(THEIRS, at=LATER)
    assert (second.outcome.adoptions, second.pending) == (THEIRS.adoptions, False)


def test_of_two_trades_only_the_one_seen_before_is_adopted() -> None:
    grace = Grace(LASTS)
    grace.stand(THEIRS, at=NOW)
    both = compare(
        ledger(), trades=[trade(), trade("T2")], orders=[row(tag=None, filled_quantity=8)], positions=[position(8)]
    )
    standing = grace.stand(both, at=LATER)
    assert [each.trade_id for adopt in standing.outcome.adoptions for each in adopt.trades] == ["T1"]
    assert standing.pending


def test_nudges_wait_for_nothing() -> None:
    outcome = compare(ledger(ours()), orders=[row(filled_quantity=4)])
    assert Grace(LASTS).stand(outcome, at=NOW).outcome.nudges == outcome.nudges


def test_equal_books_leave_nothing_pending() -> None:
    done = trade()
    equal = compare(ledger(fills=(booked(done, None),)), trades=[done], orders=[row(tag=None)], positions=[position(4)])
    assert not Grace(LASTS).stand(equal, at=NOW).pending
