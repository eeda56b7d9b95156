"""Fills: in part, late, after the end; validities that run out. Booked once each, whatever the order of arrival."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from activities.messages import CancelCommand
from alphapanda.brokers.paper.faults import PaperFault
from alphapanda.domain.ids import OrderId
from alphapanda.domain.states import OrderState
from alphapanda.domain.vocabulary import Validity
from tests.rehearsal import Rehearsal
from tests.workflow.conftest import Rehearse
from tests.workflow.support import RESTING, arm, at_exchange, edit_book, eventually, fill_behind, nudge, resting

S = OrderState
CANCEL = CancelCommand(actor="anna")


async def workflow_has_ended(desk: Rehearsal, order: OrderId) -> None:
    await desk.client.get_workflow_handle(f"order:{order}").result()


# --- in part ---------------------------------------------------------------------------------------------------


@pytest.mark.exercises("SUBMITTING > PARTIALLY_FILLED > FILLED")
async def test_an_order_fills_in_parts_and_each_is_booked_once(rehearsal: Rehearsal) -> None:
    await rehearsal.quote(volume=3)
    order = await rehearsal.send()
    row = await rehearsal.until(order, S.PARTIALLY_FILLED)
    assert row.filled_quantity == 3
    await rehearsal.quote(1501.0, volume=4)

    async def seven() -> bool:
        return bool((await rehearsal.row(order)).filled_quantity == 7)

    await eventually(seven)
    assert await rehearsal.scalar("SELECT quantity FROM reservations") == 3
    await rehearsal.quote(1502.0)
    await rehearsal.until(order, S.FILLED)
    assert await rehearsal.scalar("SELECT count(*) FROM fills") == 3
    (there,) = await at_exchange(rehearsal, order)
    assert (await rehearsal.row(order)).turnover == there.turnover


async def test_the_same_update_many_times_books_a_fill_once(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    await rehearsal.quote(1399.0, volume=4)
    await rehearsal.until(order, S.PARTIALLY_FILLED)
    for _ in range(20):
        await nudge(rehearsal, order)
    await rehearsal.quote(1399.0)
    await rehearsal.until(order, S.FILLED)
    assert await rehearsal.scalar("SELECT sum(quantity) FROM fills") == 10


async def test_a_complete_order_whose_trades_are_not_shown_yet_stays_working_until_they_are(
    rehearsal: Rehearsal,
) -> None:
    order = await resting(rehearsal)
    await edit_book(rehearsal, order, status="COMPLETE", filled_quantity=10, turnover=Decimal(14000))
    await nudge(rehearsal, order)
    await fill_behind(rehearsal, order, 10, "COMPLETE")
    assert (await rehearsal.row(order)).state == S.OPEN
    await nudge(rehearsal, order)
    row = await rehearsal.until(order, S.FILLED)
    assert row.filled_quantity == 10


# --- at the end of their validity ------------------------------------------------------------------------------


@pytest.mark.exercises("SUBMITTING > CANCELLED")
async def test_an_ioc_order_that_finds_nothing_is_cancelled_at_once(rehearsal: Rehearsal) -> None:
    row = await rehearsal.until(await rehearsal.send(**RESTING, validity=Validity.IOC), S.CANCELLED)
    assert row.reason_code == "BROKER_CANCELLED"


async def test_an_ioc_order_keeps_what_it_found(rehearsal: Rehearsal) -> None:
    await rehearsal.quote(volume=4)
    row = await rehearsal.until(await rehearsal.send(validity=Validity.IOC), S.CANCELLED)
    assert row.filled_quantity == 4


@pytest.mark.exercises("OPEN > EXPIRED")
@pytest.mark.parametrize("validity", [{"validity": Validity.DAY}, {"validity": Validity.TTL, "validity_minutes": 1}])
async def test_an_order_expires_at_the_end_of_its_validity(rehearsal: Rehearsal, validity: dict[str, object]) -> None:
    order = await resting(rehearsal, **validity)
    await edit_book(rehearsal, order, expires_at=datetime.now(UTC))  # the hour has come
    row = await rehearsal.until(order, S.EXPIRED)
    assert row.reason_code == "BROKER_EXPIRED"


@pytest.mark.exercises("PARTIALLY_FILLED > EXPIRED")
async def test_a_part_filled_order_expires_with_its_fills(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    await rehearsal.quote(1399.0, volume=4)
    await rehearsal.until(order, S.PARTIALLY_FILLED)
    await edit_book(rehearsal, order, expires_at=datetime.now(UTC))
    row = await rehearsal.until(order, S.EXPIRED)
    assert row.filled_quantity == 4


@pytest.mark.exercises("SUBMITTING > REJECTED")
async def test_an_order_the_exchange_rejects_is_rejected_with_its_words(rehearsal: Rehearsal) -> None:
    await arm(rehearsal, PaperFault.REJECT_NEXT)
    row = await rehearsal.until(await rehearsal.send(), S.REJECTED)
    assert "rehearsed" in row.reason


@pytest.mark.exercises("OPEN > REJECTED")
async def test_an_order_the_exchange_rejects_after_it_rested_is_rejected(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    await edit_book(rehearsal, order, status="REJECTED", message="margin call")
    await nudge(rehearsal, order)
    await rehearsal.until(order, S.REJECTED)


async def test_a_rejection_of_the_rest_of_a_part_filled_order_keeps_the_fills(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    await rehearsal.quote(1399.0, volume=4)
    await rehearsal.until(order, S.PARTIALLY_FILLED)
    await edit_book(rehearsal, order, status="REJECTED", message="margin call")
    await nudge(rehearsal, order)
    row = await rehearsal.until(order, S.CANCELLED)
    assert row.filled_quantity == 4


# --- late ------------------------------------------------------------------------------------------------------


@pytest.mark.exercises("CANCELLED > FILLED")
async def test_a_fill_after_the_cancel_is_booked_while_the_order_is_watched(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    await rehearsal.desk.cancel(order, CANCEL)
    await fill_behind(rehearsal, order, 10, "COMPLETE")
    await nudge(rehearsal, order)
    row = await rehearsal.until(order, S.FILLED)
    assert row.reason_code == "BROKER_LATE_FILL"
    await workflow_has_ended(rehearsal, order)


@pytest.mark.exercises("CANCELLED > PARTIALLY_FILLED > FILLED")
async def test_an_order_that_works_again_after_its_cancel_is_followed_again(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    await rehearsal.desk.cancel(order, CANCEL)
    await fill_behind(rehearsal, order, 4, "OPEN")
    await nudge(rehearsal, order)
    await rehearsal.until(order, S.PARTIALLY_FILLED)
    await rehearsal.quote(1399.0)
    await rehearsal.until(order, S.FILLED)


@pytest.mark.exercises("EXPIRED > PARTIALLY_FILLED")
async def test_an_order_that_works_again_after_its_expiry_is_followed_again(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    await edit_book(rehearsal, order, expires_at=datetime.now(UTC))
    await rehearsal.until(order, S.EXPIRED)
    await fill_behind(rehearsal, order, 4, "OPEN")
    await nudge(rehearsal, order)
    await rehearsal.until(order, S.PARTIALLY_FILLED)


async def test_a_late_part_fill_of_an_order_that_stays_cancelled_is_booked(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    await rehearsal.desk.cancel(order, CANCEL)
    await fill_behind(rehearsal, order, 4, "CANCELLED")
    await nudge(rehearsal, order)

    async def four() -> bool:
        return bool((await rehearsal.row(order)).filled_quantity == 4)

    await eventually(four)
    assert (await rehearsal.row(order)).state == S.CANCELLED


async def test_a_late_fill_nobody_tells_of_is_found_by_the_last_look(skipped: Rehearsal) -> None:
    # Time is skipped, so the watch is over within moments; whichever side finds the fill books it, once.
    order = await resting(skipped)
    await edit_book(skipped, order, status="CANCELLED")
    await fill_behind(skipped, order, 10, "COMPLETE")
    await skipped.desk.nudge(f"order:{order}")
    await skipped.until(order, S.FILLED)


@pytest.mark.exercises("CANCELLED > FILLED", "EXPIRED > FILLED")
async def test_a_fill_after_the_workflow_has_ended_is_booked_by_the_watch_once(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders={"late_fill_watch_s": 0}) as desk:
        cancelled, expired = await resting(desk), await resting(desk)
        await desk.desk.cancel(cancelled, CANCEL)
        await edit_book(desk, expired, expires_at=datetime.now(UTC))
        await desk.until(expired, S.EXPIRED)
        for order in (cancelled, expired):
            await workflow_has_ended(desk, order)
            await fill_behind(desk, order, 10, "COMPLETE")
        for _ in range(2):
            await desk.reconcile()
        await nudge(desk, cancelled)
        for order in (cancelled, expired):
            row = await desk.row(order)
            assert (row.state, row.filled_quantity, row.reason_code) == (S.FILLED, 10, "BROKER_LATE_FILL")
        assert await desk.scalar("SELECT count(*) FROM fills") == 2


async def test_a_fill_whose_update_was_lost_is_found_by_comparing_the_book(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    await fill_behind(rehearsal, order, 10, "COMPLETE")
    await rehearsal.reconcile()
    await rehearsal.until(order, S.FILLED)
