"""A broker that answers a placement with a number only: the order is OPEN once its book shows that, not before."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from activities.messages import CancelCommand
from alphapanda.brokers.paper.faults import PaperFault
from alphapanda.domain.execution import BookStatus
from alphapanda.domain.states import OrderState
from tests.workflow.conftest import Rehearse
from tests.workflow.kite_like import kite_like
from tests.workflow.support import RESTING, arm, at_exchange, edit_book, eventually, nudge, status

S = OrderState
ANNA = "anna"
SENT = ["RECEIVED", "VALIDATED", "APPROVED", "SUBMITTING"]


async def test_the_book_tells_what_became_of_an_order_that_was_taken(rehearse_with: Rehearse) -> None:
    async with rehearse_with(broker_worker=False) as desk, kite_like(desk):
        filled, open_ = await desk.send(), await desk.send(**RESTING)
        await desk.until(filled, S.FILLED)
        await desk.until(open_, S.OPEN)
        assert await desk.path(filled) == [*SENT, "FILLED"]
        assert await desk.path(open_) == [*SENT, "OPEN"]


async def test_an_order_that_passes_through_the_broker_is_never_in_doubt(rehearse_with: Rehearse) -> None:
    async with rehearse_with(broker_worker=False) as desk, kite_like(desk) as broker:
        broker.holds_back = True
        order = await desk.send()
        searched = await _looked_for(desk, order)
        broker.holds_back = False
        await desk.until(order, S.FILLED)
        assert searched
        assert await desk.path(order) == [*SENT, "FILLED"]


async def _looked_for(desk: Any, order: Any) -> bool:
    """Once the exchange has the order and its book was read."""

    async def taken() -> bool:
        return bool(await at_exchange(desk, order)) and (await status(desk, order)).broker_order_id is not None

    return bool(await eventually(taken))


@pytest.mark.exercises("SUBMITTING > UNKNOWN > PARKED > OPEN")
async def test_an_order_the_broker_does_not_pass_on_is_in_doubt_and_parked_until_it_moves(
    rehearse_with: Rehearse,
) -> None:
    async with rehearse_with(broker_worker=False, skip=True) as desk, kite_like(desk) as broker:
        broker.holds_back = True
        order = await desk.send(**RESTING)
        row = await desk.until(order, S.PARKED)
        assert row.reason_code == "RESOLVE_STUCK_AT_BROKER"
        doubted = (await desk.events(order))[4]
        assert (doubted.to_state, doubted.reason_code) == ("UNKNOWN", "SUBMIT_NOT_CONFIRMED")
        (sent,) = row.evidence["sent"]
        assert (sent["outcome"], sent["broker_order_id"]) == ("DONE", row.broker_order_id)
        assert sum(search["pending"] for search in row.evidence["searches"]) > 3
        broker.holds_back = False
        await desk.desk.nudge(f"order:{order}")
        await desk.until(order, S.OPEN)
        assert len(await at_exchange(desk, order)) == 1


async def test_a_placed_order_whose_book_cannot_be_read_is_open_for_it_was_taken(rehearse_with: Rehearse) -> None:
    async with rehearse_with(broker_worker=False) as desk, kite_like(desk):
        await arm(desk, PaperFault.BOOK_UNAVAILABLE, 1)
        order = await desk.send(**RESTING)
        row = await desk.until(order, S.OPEN)
        assert row.reason == f"BROKER_ACCEPTED: broker_order_id={row.broker_order_id}"
        await desk.quote(1399.0)
        await desk.until(order, S.FILLED)


async def test_a_cancel_that_comes_before_the_book_shows_the_order_is_carried_out(rehearse_with: Rehearse) -> None:
    async with rehearse_with(broker_worker=False) as desk, kite_like(desk) as broker:
        broker.holds_back = True
        order = await desk.send(**RESTING)
        await _looked_for(desk, order)
        assert (await desk.desk.cancel(order, CancelCommand(actor=ANNA))).cancel_requested
        broker.holds_back = False
        await desk.until(order, S.CANCELLED)
        (there,) = await at_exchange(desk, order)
        assert there.status == "CANCELLED"


async def test_an_open_order_the_book_goes_back_to_show_as_pending_is_noted_once(rehearse_with: Rehearse) -> None:
    quick = {"resolve_timeout_s": 0.4, "poll_interval_s": 0.1}
    async with rehearse_with(broker_worker=False, orders=quick) as desk, kite_like(desk) as broker:
        await arm(desk, PaperFault.BOOK_UNAVAILABLE, 1)
        order = await desk.send(**RESTING)
        broker.holds_back = True
        await desk.until(order, S.OPEN)

        async def noted() -> list[Any]:
            return [each for each in await desk.events(order) if each.reason_code == "SUBMIT_NOT_CONFIRMED"]

        (note,) = await eventually(noted)
        assert (note.from_state, note.to_state, note.actor) == ("OPEN", "OPEN", "broker")
        assert (await desk.row(order)).reason_code == "BROKER_ACCEPTED"  # why it is OPEN has not changed
        assert (await status(desk, order)).next_step.startswith("The broker has it and has not passed it on")
        broker.holds_back = False
        await desk.quote(1399.0)
        await desk.until(order, S.FILLED)
        assert len(await noted()) == 1


# --- over night --------------------------------------------------------------------------------------------------


async def test_an_order_of_an_earlier_day_that_the_book_has_no_more_has_expired(rehearse_with: Rehearse) -> None:
    quick = {"poll_interval_s": 0.1, "absent_after_s": 0.5}
    async with rehearse_with(broker_worker=False, orders=quick) as desk, kite_like(desk) as broker:
        broker.shown = {"updated_at": datetime.now(UTC) - timedelta(days=1)}
        order = await desk.send(**RESTING)
        await desk.until(order, S.OPEN)
        broker.forgets = True
        row = await desk.until(order, S.EXPIRED)
        assert row.reason_code == "BROKER_DAY_OVER"
        assert row.closed_at is not None


async def test_an_order_of_today_that_the_book_does_not_show_is_waited_for(rehearse_with: Rehearse) -> None:
    quick = {"poll_interval_s": 0.1, "absent_after_s": 0.3}
    async with rehearse_with(broker_worker=False, orders=quick) as desk, kite_like(desk) as broker:
        order = await desk.send(**RESTING)
        await desk.until(order, S.OPEN)
        broker.forgets = True
        before = broker.reads

        async def looked_often() -> bool:
            return broker.reads > before + 10  # at 0.1 s each: more, for longer, than would prove it of an earlier day

        await eventually(looked_often)
        assert (await desk.row(order)).state == S.OPEN
        broker.forgets = False
        await desk.quote(1399.0)
        await desk.until(order, S.FILLED)


# --- sliced ------------------------------------------------------------------------------------------------------


async def test_what_the_broker_refused_of_a_sliced_order_is_shown_and_ends_it(rehearse_with: Rehearse) -> None:
    async with rehearse_with(broker_worker=False) as desk, kite_like(desk) as broker:
        broker.told_with_placement = {
            "status": BookStatus.OPEN, "whole": False, "unplaced_quantity": 3, "message": "no margin",
        }  # fmt: skip
        order = await desk.send(**{**RESTING, "quantity": 10})
        row = await desk.until(order, S.OPEN)
        assert row.reason == "BROKER_ACCEPTED: status=OPEN, unplaced=3, message=no margin"
        await edit_book(desk, order, quantity=7)
        await desk.quote(1399.0)
        row = await desk.until(order, S.CANCELLED)
        assert row.reason == "BROKER_SLICES_REFUSED: filled=7/10, unplaced=3, message=no margin"
        assert (row.quantity, row.filled_quantity) == (10, 7)


async def test_slices_that_never_come_end_the_order_in_time(rehearse_with: Rehearse) -> None:
    quick = {"resolve_timeout_s": 0.4, "poll_interval_s": 0.1}
    async with rehearse_with(broker_worker=False, orders=quick) as desk, kite_like(desk) as broker:
        broker.told_with_placement = {"whole": False}
        order = await desk.send(**RESTING)
        await desk.until(order, S.OPEN)
        broker.shown = {"whole": False, "quantity": 6}
        await edit_book(desk, order, quantity=6)
        await desk.quote(1399.0)
        row = await desk.until(order, S.CANCELLED)
        assert (row.reason_code, row.filled_quantity, row.quantity) == ("BROKER_SLICES_REFUSED", 6, 10)
        await nudge(desk, order)
