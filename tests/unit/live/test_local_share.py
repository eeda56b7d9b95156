"""What processes that cannot ask Redis may call on their own, whatever comes to them and whenever."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapanda.live.limits.local import PROCESSES, DayCount, LocalShare
from alphapanda.live.limits.rules import MINUTE_S, SECOND_S, CallKind, ist_day, until_next_day_s
from alphapanda.settings import CallLimits

CUT_AT = 1000.0
NOON = datetime(2026, 11, 19, 6, 30, tzinfo=UTC)
LIMITS = CallLimits()
ORDER_KINDS = (CallKind.PLACE, CallKind.MODIFY, CallKind.CANCEL, CallKind.EXIT)


class Process:
    """A share, and what it granted."""

    def __init__(self, limits: CallLimits = LIMITS, known_today: int = 0) -> None:
        self.share = LocalShare(limits)
        self.today = DayCount()
        self.today.learn(ist_day(NOON), known_today)
        self.granted: list[float] = []

    def take(self, kind: CallKind, at: float, now: datetime = NOON) -> float:
        wait = self.share.take(kind, self.today, cut_at=CUT_AT, at=at, now=now)
        if wait == 0:
            self.granted.append(at)
        return wait

    def drain(self, kind: CallKind, at: float) -> int:
        """How many are granted at that one instant."""
        before = len(self.granted)
        while self.take(kind, at) == 0:
            pass
        return len(self.granted) - before


def most_in_any(seconds: float, times: list[float]) -> int:
    ordered = sorted(times)
    return max((sum(at <= other < at + seconds for other in ordered) for at in ordered), default=0)


@given(
    st.lists(
        st.tuples(st.integers(0, PROCESSES - 1), st.sampled_from(ORDER_KINDS), st.floats(0, 20)),
        max_size=300,
    ),
    st.builds(
        CallLimits,
        orders_per_second=st.integers(PROCESSES, 12),
        orders_per_minute=st.integers(20, 60),
        reserve_percent=st.sampled_from([20, 50]),
    ),
)
def test_four_processes_that_are_cut_off_together_keep_the_accounts_windows(
    asks: list[tuple[int, CallKind, float]], limits: CallLimits
) -> None:
    processes = [Process(limits) for _ in range(PROCESSES)]
    at = CUT_AT
    for number, kind, later in asks:
        at += later if later > 10 else later / 50  # bursts, and pauses between them
        processes[number].drain(kind, at)
    # Entries had used all that is theirs when Redis went, in the very last moment.
    entries_before = limits.orders_per_minute - -(-limits.orders_per_minute * limits.reserve_percent // 100)
    granted = [when for process in processes for when in process.granted]
    assert most_in_any(SECOND_S, granted) <= limits.orders_per_second
    assert most_in_any(MINUTE_S, [CUT_AT] * entries_before + granted) <= limits.orders_per_minute


def test_nothing_is_granted_until_the_calls_before_the_cut_have_left_the_second() -> None:
    process = Process()
    for kind in (CallKind.CANCEL, CallKind.EXIT, CallKind.READ, CallKind.QUOTE, CallKind.HISTORICAL):
        assert process.take(kind, CUT_AT + 0.5) == pytest.approx(SECOND_S - 0.5)
        assert process.take(kind, CUT_AT + SECOND_S + len(process.granted)) == 0


def test_entries_wait_out_the_minute_after_the_cut_and_then_leave_the_reserve_of_the_share() -> None:
    process = Process()
    assert process.take(CallKind.PLACE, CUT_AT + 30) == pytest.approx(MINUTE_S - 30)
    assert process.drain(CallKind.PLACE, CUT_AT + 61) == 1
    assert process.take(CallKind.MODIFY, CUT_AT + 61) == pytest.approx(SECOND_S)
    assert process.drain(CallKind.CANCEL, CUT_AT + 61) == 1


def test_cancels_and_exits_live_off_the_reserve_in_the_first_minute() -> None:
    process = Process()
    for second in range(58):
        process.drain(CallKind.EXIT, CUT_AT + 2 + second)
    assert len(process.granted) == 80 // PROCESSES


def test_a_second_outage_does_not_renew_the_share_of_the_first() -> None:
    process = Process()
    for second in range(20):
        process.drain(CallKind.EXIT, CUT_AT + 2 + second)
    again = CUT_AT + 30
    wait = process.share.take(CallKind.EXIT, process.today, cut_at=again, at=again + 2, now=NOON)
    assert len(process.granted) == 20
    assert wait == pytest.approx(process.granted[0] + MINUTE_S - (again + 2))


def test_calls_that_cannot_be_divided_become_rarer() -> None:
    process = Process()
    assert process.drain(CallKind.QUOTE, CUT_AT + 2) == 1
    assert process.take(CallKind.QUOTE, CUT_AT + 2) == pytest.approx(SECOND_S * PROCESSES)
    assert process.drain(CallKind.HISTORICAL, CUT_AT + 2) == 1
    assert process.take(CallKind.HISTORICAL, CUT_AT + 2) == pytest.approx(SECOND_S * PROCESSES / 3)
    assert process.drain(CallKind.READ, CUT_AT + 2) == 10 // PROCESSES


def test_the_rest_of_the_day_is_divided_too() -> None:
    process = Process(CallLimits(orders_per_day=100), known_today=88)
    for second in range(30):
        process.drain(CallKind.CANCEL, CUT_AT + 2 + 2 * second)
    assert len(process.granted) == (100 - 88) // PROCESSES
    assert process.take(CallKind.CANCEL, CUT_AT + 100) == until_next_day_s(NOON)
    assert process.take(CallKind.PLACE, CUT_AT + 100) == until_next_day_s(NOON)
    assert process.take(CallKind.READ, CUT_AT + 100) == 0


def test_a_new_day_in_india_begins_at_nothing() -> None:
    last = datetime(2026, 11, 19, 18, 29, 59, tzinfo=UTC)  # 23:59:59 IST
    process = Process(CallLimits(orders_per_day=100), known_today=100)
    assert process.take(CallKind.CANCEL, CUT_AT + 100, last) == pytest.approx(1)
    assert process.take(CallKind.CANCEL, CUT_AT + 101, last + timedelta(seconds=1)) == 0
    assert (process.today.known, process.today.uncounted) == (0, 1)


def test_the_days_count_never_goes_back_within_the_day() -> None:
    today = DayCount()
    today.learn(5, 10)
    today.learn(5, 7)
    today.learn(4, 900)
    assert (today.day, today.known) == (5, 10)
    today.learn(6, 1)
    assert (today.day, today.known) == (6, 1)
