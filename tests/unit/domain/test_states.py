"""The table of states: total, closed, and with no way round it."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapanda.domain.states import (
    AT_REST,
    BEFORE_THE_WIRE,
    MEANINGS,
    NEEDS_A_PERSON,
    NEVER_SENT,
    TERMINAL,
    TRANSITIONS,
    WORKING,
    IllegalTransitionError,
    OrderState,
    check_transition,
    path_to,
)

S = OrderState
states = st.sampled_from(OrderState)


def reachable(start: OrderState) -> set[OrderState]:
    found, front = {start}, [start]
    while front:
        for to in TRANSITIONS[front.pop()] - found:
            found.add(to)
            front.append(to)
    return found


def test_every_state_has_a_row_and_a_meaning() -> None:
    assert set(TRANSITIONS) == set(MEANINGS) == set(OrderState)
    assert all(state.meaning for state in OrderState)


def test_every_state_is_reached_from_received_and_reaches_an_end() -> None:
    assert reachable(S.RECEIVED) == set(OrderState)
    for state in OrderState:
        assert reachable(state) & TERMINAL, f"{state} leads nowhere"


@pytest.mark.parametrize(("current", "to"), list(product(OrderState, OrderState)))
def test_only_what_the_table_allows_is_legal(current: OrderState, to: OrderState) -> None:
    if to in TRANSITIONS[current]:
        check_transition(current, to)
    else:
        with pytest.raises(IllegalTransitionError) as caught:
            check_transition(current, to)
        assert (caught.value.current, caught.value.to) == (current, to)


def test_no_state_follows_itself() -> None:
    assert [state for state in OrderState if state in TRANSITIONS[state]] == []


def test_an_ended_order_only_wakes_for_a_fill_or_a_retry() -> None:
    woken = {state: TRANSITIONS[state] for state in TERMINAL if TRANSITIONS[state]}
    late = {S.FILLED, S.PARTIALLY_FILLED}
    assert woken == {S.CANCELLED: late, S.EXPIRED: late, S.FAILED: {S.RECEIVED}}


def test_the_groups_of_states_do_not_contradict_each_other() -> None:
    assert AT_REST | NEVER_SENT == TERMINAL
    assert not AT_REST & NEVER_SENT
    assert not WORKING & TERMINAL
    assert not BEFORE_THE_WIRE & (WORKING | TERMINAL)
    assert {state for state in NEEDS_A_PERSON if state in TERMINAL} == {S.FAILED}


def test_before_the_wire_a_cancel_and_a_failure_end_the_order_and_nothing_is_at_the_broker() -> None:
    for state in BEFORE_THE_WIRE - {S.APPROVED}:
        assert S.CANCELLED in TRANSITIONS[state]
        assert S.FAILED in TRANSITIONS[state]
        assert not TRANSITIONS[state] & (WORKING | {S.FILLED, S.UNKNOWN, S.PARKED})


def test_an_order_that_may_be_at_the_broker_never_fails_by_itself() -> None:
    for state in (S.SUBMITTING, S.UNKNOWN, *WORKING, S.AWAITING_AUTH):
        assert S.FAILED not in TRANSITIONS[state]


def test_nothing_is_sent_but_from_approved_a_login_a_proved_absence_or_in_place_of_what_was_cancelled() -> None:
    assert {state for state in OrderState if S.SUBMITTING in TRANSITIONS[state]} == {
        S.APPROVED, S.AWAITING_AUTH, S.UNKNOWN, S.PARKED, *WORKING,
    }  # fmt: skip


@given(states, states)
def test_a_path_is_made_of_legal_steps_and_ends_where_it_should(current: OrderState, to: OrderState) -> None:
    try:
        path = path_to(current, to)
    except IllegalTransitionError:
        assert to not in TRANSITIONS[current]
        return
    assert (path[-1] if path else current) is to
    for step, following in zip((current, *path), path, strict=False):
        check_transition(step, following)
    assert len(path) <= 2
