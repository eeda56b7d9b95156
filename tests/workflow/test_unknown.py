"""Sent, and the outcome not known: resolved from the exchange's book by the tag, never by sending blindly again."""

from decimal import Decimal
from typing import Any

import pytest
from structlog.testing import capture_logs

from activities.messages import CancelCommand, ModifyCommand, ResolveCommand
from alphapanda.brokers.paper.faults import PaperFault
from alphapanda.domain.execution import OrderChange
from alphapanda.domain.ids import OrderId
from alphapanda.domain.states import OrderState
from alphapanda.domain.vocabulary import OrderType, Validity
from alphapanda.ledger.query_brokers import broker_states
from tests.rehearsal import PAPER, Rehearsal
from tests.workflow.conftest import Rehearse
from tests.workflow.support import (
    RESTING,
    arm,
    at_exchange,
    details,
    edit_book,
    eventually,
    refused,
    resting,
    status,
)

S = OrderState
ANNA = "anna"

QUICK: dict[str, Any] = {"resolve_interval_s": 0.05, "resolve_timeout_s": 0.6, "absent_after_s": 0}
SLOW: dict[str, Any] = {"resolve_interval_s": 0.05, "resolve_timeout_s": 60}


async def parked(desk: Rehearsal, fault: PaperFault = PaperFault.LOSE_REQUEST, **terms: Any) -> OrderId:
    """An order whose outcome the book does not settle; with HIDE_FROM_BOOK it is there all the same."""
    await arm(desk, fault, hide_s=3600.0)
    order = await desk.send(**terms)
    await desk.until(order, S.PARKED)
    return order


def resolve(state: OrderState, **more: Any) -> ResolveCommand:
    return ResolveCommand(actor=ANNA, state=state, **more)


# --- found -----------------------------------------------------------------------------------------------------


@pytest.mark.exercises("SUBMITTING > UNKNOWN > FILLED")
async def test_a_lost_reply_is_resolved_by_the_tag(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders=SLOW) as desk:
        await arm(desk, PaperFault.LOSE_REPLY)
        order = await desk.send()
        row = await desk.until(order, S.FILLED)
        assert row.reason_code == "RESOLVED_FROM_BOOK"
        assert len(await at_exchange(desk, order)) == 1


@pytest.mark.exercises("UNKNOWN > OPEN")
async def test_an_order_that_rests_behind_a_lost_reply_is_adopted(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders=SLOW) as desk:
        await arm(desk, PaperFault.LOSE_REPLY)
        order = await desk.send(**RESTING)
        await desk.until(order, S.OPEN)
        await desk.quote(1399.0)
        await desk.until(order, S.FILLED)


@pytest.mark.exercises("UNKNOWN > PARTIALLY_FILLED")
async def test_a_part_fill_behind_a_lost_reply_is_adopted(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders=SLOW) as desk:
        await desk.quote(volume=4)
        await arm(desk, PaperFault.LOSE_REPLY)
        row = await desk.until(await desk.send(), S.PARTIALLY_FILLED)
        assert row.filled_quantity == 4


@pytest.mark.exercises("UNKNOWN > REJECTED")
async def test_a_rejection_behind_a_lost_reply_is_adopted(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders=SLOW) as desk:
        await arm(desk, PaperFault.REJECT_NEXT)
        await arm(desk, PaperFault.LOSE_REPLY)
        await desk.until(await desk.send(), S.REJECTED)


@pytest.mark.exercises("UNKNOWN > CANCELLED")
async def test_an_ioc_order_that_found_nothing_behind_a_lost_reply_is_cancelled(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders=SLOW) as desk:
        await arm(desk, PaperFault.LOSE_REPLY)
        await desk.until(await desk.send(**RESTING, validity=Validity.IOC), S.CANCELLED)


async def test_a_book_that_lags_is_read_until_it_shows_the_order(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders=SLOW) as desk:
        await arm(desk, PaperFault.HIDE_FROM_BOOK, hide_s=1.0)
        order = await desk.send()
        await desk.until(order, S.FILLED)
        assert await desk.path(order) == ["RECEIVED", "VALIDATED", "APPROVED", "SUBMITTING", "UNKNOWN", "FILLED"]
        assert len(await at_exchange(desk, order)) == 1


async def test_a_book_that_cannot_be_read_is_not_taken_as_absence(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders={**QUICK, "resend_when_absent": True}) as desk:
        await arm(desk, PaperFault.LOSE_REPLY)
        await arm(desk, PaperFault.BOOK_UNAVAILABLE, 1000)
        order = await desk.send()
        row = await desk.until(order, S.PARKED)
        assert "rehearsed" in row.reason
        assert len(await at_exchange(desk, order)) == 1


@pytest.mark.exercises("UNKNOWN > OPEN")
async def test_a_cancel_of_an_unknown_order_is_kept_and_carried_out(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders=SLOW) as desk:
        await arm(desk, PaperFault.HIDE_FROM_BOOK, hide_s=1.0)
        order = await desk.send(**RESTING)
        await desk.until(order, S.UNKNOWN)
        answer = await desk.desk.cancel(order, CancelCommand(actor=ANNA))
        assert answer.state is S.UNKNOWN
        assert answer.cancel_requested
        await desk.until(order, S.CANCELLED)


# --- absent ----------------------------------------------------------------------------------------------------


@pytest.mark.exercises("UNKNOWN > PARKED")
async def test_an_absent_order_is_parked_not_sent_again(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders=QUICK) as desk:
        order = await parked(desk)
        assert (await desk.row(order)).reason_code == "RESOLVE_GAVE_UP"
        assert await at_exchange(desk, order) == []
        assert await desk.scalar("SELECT quantity FROM reservations") == 10  # it may be there after all
        assert (await broker_states(desk.engine, [PAPER]))[PAPER].needs_person == 1
        await desk.desk.resolve(order, resolve(S.CANCELLED))
        assert (await broker_states(desk.engine, [PAPER]))[PAPER].needs_person == 0


@pytest.mark.exercises("UNKNOWN > SUBMITTING")
async def test_where_policy_allows_an_absent_order_is_sent_again_once(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders={**QUICK, "resend_when_absent": True}) as desk:
        await arm(desk, PaperFault.LOSE_REQUEST)
        order = await desk.send()
        await desk.until(order, S.FILLED)
        assert (await desk.path(order)).count("SUBMITTING") == 2
        assert len(await at_exchange(desk, order)) == 1


async def test_an_order_that_shows_during_the_search_is_adopted_not_sent_again(
    rehearse_with: Rehearse,
) -> None:
    async with rehearse_with(orders={**QUICK, "resolve_timeout_s": 60, "resend_when_absent": True}) as desk:
        await arm(desk, PaperFault.HIDE_FROM_BOOK, hide_s=3600.0)
        order = await desk.send()
        await desk.until(order, S.UNKNOWN)
        await edit_book(desk, order, hidden_until=None)
        await desk.until(order, S.FILLED)
        assert len(await at_exchange(desk, order)) == 1


async def test_an_unknown_order_with_a_cancel_is_never_sent_again(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders={**QUICK, "resolve_timeout_s": 1.5, "resend_when_absent": True}) as desk:
        await arm(desk, PaperFault.LOSE_REQUEST)
        order = await desk.send()
        await desk.until(order, S.UNKNOWN)
        await desk.desk.cancel(order, CancelCommand(actor=ANNA))
        await desk.until(order, S.PARKED)
        assert await at_exchange(desk, order) == []


async def test_an_absence_is_not_proved_before_the_book_had_time_to_show_the_order(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders={**QUICK, "resend_when_absent": True, "absent_after_s": 2.5}) as desk:
        await arm(desk, PaperFault.LOSE_REQUEST)
        order = await desk.send()
        await desk.until(order, S.FILLED)
        events = {event.seq: event for event in await desk.events(order)}
        (again,) = (each for each in events.values() if each.reason_code == "SUBMIT_PROVED_ABSENT")
        assert (again.at - events[again.seq - 1].at).total_seconds() >= 2.5
        assert len(await at_exchange(desk, order)) == 1


async def test_a_book_that_lags_longer_than_the_search_does_not_get_the_order_twice(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders={**QUICK, "resend_when_absent": True, "absent_after_s": 60}) as desk:
        await arm(desk, PaperFault.HIDE_FROM_BOOK, hide_s=2.0)
        order = await desk.send()
        await desk.until(order, S.FILLED)
        assert (await desk.path(order)).count("SUBMITTING") == 1
        assert len(await at_exchange(desk, order)) == 1


# --- taken by the broker, not passed on -------------------------------------------------------------------------


async def stuck(desk: Rehearsal, **terms: Any) -> OrderId:
    """An order that the broker's book shows as pending, after a lost answer."""
    await arm(desk, PaperFault.HIDE_FROM_BOOK, hide_s=3600.0)
    order = await desk.send(**{**RESTING, **terms})
    await desk.until(order, S.UNKNOWN)
    await edit_book(desk, order, status="PENDING", hidden_until=None)
    return order


async def test_an_order_stuck_at_the_broker_is_parked_and_never_sent_again(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders={**QUICK, "resolve_timeout_s": 1.5, "resend_when_absent": True}) as desk:
        order = await stuck(desk)
        row = await desk.until(order, S.PARKED)
        assert row.reason_code == "RESOLVE_STUCK_AT_BROKER"
        assert (await status(desk, order)).next_step.startswith("The broker has it and has not passed it on")
        # Not even by a person: its row is found, and it is in doubt again.
        await desk.desk.resolve(order, resolve(S.SUBMITTING))
        await edit_book(desk, order, status="OPEN")
        await desk.until(order, S.OPEN)
        assert len(await at_exchange(desk, order)) == 1


async def test_an_order_stuck_at_the_broker_is_adopted_as_soon_as_it_moves(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders=SLOW) as desk:
        order = await stuck(desk)

        async def seen_pending() -> bool:
            evidence = (await status(desk, order)).evidence
            return evidence is not None and bool(evidence.searches) and evidence.searches[-1].pending > 0

        await eventually(seen_pending)
        assert (await desk.row(order)).state == S.UNKNOWN
        await edit_book(desk, order, status="OPEN")
        row = await desk.until(order, S.OPEN)
        assert row.reason_code == "RESOLVED_FROM_BOOK"


async def test_a_cancel_of_an_order_stuck_at_the_broker_is_asked_for_as_soon_as_it_is_known(
    rehearse_with: Rehearse,
) -> None:
    async with rehearse_with(orders=SLOW) as desk:
        order = await stuck(desk)
        await desk.desk.cancel(order, CancelCommand(actor=ANNA))
        await edit_book(desk, order, status="OPEN")
        await desk.until(order, S.CANCELLED)
        (there,) = await at_exchange(desk, order)
        assert there.status == "CANCELLED"


# --- evidence ----------------------------------------------------------------------------------------------------


async def test_a_parked_order_shows_what_was_sent_and_what_the_book_said(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders=QUICK) as desk:
        order = await parked(desk, **RESTING)
        row = await desk.row(order)
        (sent,) = row.evidence["sent"]
        assert (sent["attempt"], sent["tag"], sent["outcome"]) == (1, row.tag, "AMBIGUOUS")
        assert sent["terms"] == "BUY 10 NSE:INFY @ 1400.00"
        assert "rehearsed" in sent["answer"]
        (search,) = row.evidence["searches"]
        assert search["reads"] == search["absent"] >= 2
        assert search["last"] == "absent"
        told = (await status(desk, order)).evidence
        assert told is not None
        assert told.model_dump(mode="json") == row.evidence
        assert "absent in" in await details(desk, row.workflow_id)
        await desk.desk.resolve(order, resolve(S.SUBMITTING))
        await desk.until(order, S.OPEN)
        assert [each["outcome"] for each in (await desk.row(order)).evidence["sent"]] == ["AMBIGUOUS", "DONE"]


async def test_parking_alerts_with_the_ids_and_what_to_do(rehearse_with: Rehearse) -> None:
    with capture_logs() as logs:
        async with rehearse_with(orders=QUICK) as desk:
            order = await parked(desk)
    (alert,) = [each for each in logs if each["log_level"] == "error"]
    assert (alert["event"], alert["order_id"]) == ("an order is parked", order)
    assert f"alphapanda orders resolve {order}" in alert["next_action"]


async def test_an_order_without_a_doubt_has_no_evidence(rehearsal: Rehearsal) -> None:
    order = await rehearsal.send()
    assert (await rehearsal.until(order, S.FILLED)).evidence is None


# --- parked: a person decides ----------------------------------------------------------------------------------


@pytest.mark.exercises("PARKED > FILLED")
async def test_a_parked_order_the_book_shows_is_resolved_from_the_book(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders=QUICK) as desk:
        order = await parked(desk, PaperFault.HIDE_FROM_BOOK)
        await edit_book(desk, order, hidden_until=None)
        answer = await desk.desk.resolve(order, resolve(S.OPEN, note="seen in the app"))
        assert answer.state is S.FILLED  # what the person believed does not matter, what the book says does
        row = await desk.row(order)
        assert row.reason_code == "PERSON_RESOLVED"
        assert row.filled_quantity == 10


@pytest.mark.exercises("PARKED > OPEN")
async def test_a_parked_order_that_rests_is_resolved_and_followed(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders=QUICK) as desk:
        order = await parked(desk, PaperFault.HIDE_FROM_BOOK, **RESTING)
        number = await edit_book(desk, order, hidden_until=None)
        answer = await desk.desk.resolve(order, resolve(S.OPEN, broker_order_id=number))
        assert answer.state is S.OPEN
        await desk.quote(1399.0)
        await desk.until(order, S.FILLED)


@pytest.mark.exercises("PARKED > PARTIALLY_FILLED")
async def test_a_parked_order_that_is_part_filled_is_resolved_and_followed(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders=QUICK) as desk:
        await desk.quote(volume=4)
        order = await parked(desk, PaperFault.HIDE_FROM_BOOK)
        await edit_book(desk, order, hidden_until=None)
        assert (await desk.desk.resolve(order, resolve(S.PARTIALLY_FILLED))).filled_quantity == 4


@pytest.mark.exercises("PARKED > FILLED")
async def test_a_nudge_lets_a_parked_order_find_itself_in_the_book(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders=QUICK) as desk:
        order = await parked(desk, PaperFault.HIDE_FROM_BOOK)
        await edit_book(desk, order, hidden_until=None)
        assert await desk.desk.nudge(f"order:{order}")
        row = await desk.until(order, S.FILLED)
        assert row.reason_code == "RESOLVED_FROM_BOOK"


async def test_a_parked_order_finds_itself_in_the_book_in_time(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders=QUICK, skip=True) as desk:
        order = await parked(desk, PaperFault.HIDE_FROM_BOOK)
        await edit_book(desk, order, hidden_until=None)
        await desk.until(order, S.FILLED)


@pytest.mark.exercises("PARKED > CANCELLED", "PARKED > REJECTED")
@pytest.mark.parametrize("states", [(S.CANCELLED, S.REJECTED)])
async def test_a_person_declares_a_parked_order_not_placed(
    rehearse_with: Rehearse, states: tuple[OrderState, ...]
) -> None:
    async with rehearse_with(orders=QUICK) as desk:
        for state in states:
            order = await parked(desk)
            assert (await desk.desk.resolve(order, resolve(state, note="the broker told me"))).state is state
        assert await desk.scalar("SELECT count(*) FROM reservations") == 0


@pytest.mark.exercises("PARKED > SUBMITTING")
async def test_a_person_sends_a_parked_order_again(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders=QUICK) as desk:
        order = await parked(desk)
        assert (await desk.desk.resolve(order, resolve(S.SUBMITTING))).state is S.SUBMITTING
        await desk.until(order, S.FILLED)
        assert len(await at_exchange(desk, order)) == 1


async def test_sending_a_parked_order_again_finds_it_in_the_book_instead(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders=QUICK) as desk:
        order = await parked(desk, PaperFault.HIDE_FROM_BOOK)
        await edit_book(desk, order, hidden_until=None)
        await desk.desk.resolve(order, resolve(S.SUBMITTING))
        await desk.until(order, S.FILLED)
        assert len(await at_exchange(desk, order)) == 1


async def test_a_second_attempt_that_cannot_read_the_book_sends_nothing(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders=QUICK) as desk:
        order = await parked(desk, PaperFault.HIDE_FROM_BOOK)
        await arm(desk, PaperFault.BOOK_UNAVAILABLE, 1000)
        await desk.desk.resolve(order, resolve(S.SUBMITTING))
        await desk.until(order, S.UNKNOWN)  # its first attempt is still open
        await desk.until(order, S.PARKED)
        assert len(await at_exchange(desk, order)) == 1


@pytest.mark.exercises("PARKED > FAILED > RECEIVED")
async def test_a_parked_order_declared_failed_is_retried_under_the_same_tag(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders=QUICK) as desk:
        order = await parked(desk, PaperFault.HIDE_FROM_BOOK)
        tag = (await desk.row(order)).tag
        await desk.desk.resolve(order, resolve(S.FAILED))
        await edit_book(desk, order, hidden_until=None)
        await desk.desk.retry(order, actor=ANNA)
        row = await desk.until(order, S.FILLED)
        assert row.tag == tag
        assert len(await at_exchange(desk, order)) == 1  # the first life's order was found, not a second one placed


async def test_a_parked_order_refuses_whatever_does_not_decide_it(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders=QUICK) as desk:
        other = await resting(desk, tradingsymbol="INFY", quantity=3)
        foreign = (await desk.row(other)).broker_order_id
        order = await parked(desk)
        tell = desk.desk
        assert await refused(tell.cancel(order, CancelCommand(actor=ANNA))) == "ORDER_PARKED"
        change = OrderChange(price=Decimal("1450.00"))
        assert await refused(tell.modify(order, ModifyCommand(actor=ANNA, change=change))) == "ORDER_NOT_IN_STATE"
        assert await refused(tell.resolve(order, resolve(S.DENIED))) == "RESOLVE_STATE_IMPOSSIBLE"
        assert await refused(tell.resolve(order, resolve(S.FILLED))) == "RESOLVE_NOT_IN_BOOK"
        assert (
            await refused(tell.resolve(order, resolve(S.OPEN, broker_order_id="26110100000001")))
            == "RESOLVE_NOT_IN_BOOK"
        )
        taken = resolve(S.OPEN, broker_order_id=foreign)
        assert await refused(tell.resolve(order, taken)) == "RESOLVE_NOT_THIS_ORDER"
        await arm(desk, PaperFault.BOOK_UNAVAILABLE)
        assert await refused(tell.resolve(order, resolve(S.FILLED))) == "RESOLVE_NOT_IN_BOOK"
        assert (await desk.row(order)).state == S.PARKED
        assert (await desk.row(order)).broker_order_id is None


async def test_only_a_parked_order_is_resolved(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal, order_type=OrderType.LIMIT)
    assert await refused(rehearsal.desk.resolve(order, resolve(S.FILLED))) == "ORDER_NOT_IN_STATE"
