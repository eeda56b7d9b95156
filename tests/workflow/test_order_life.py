"""The ordinary life of an order, end to end on the real servers."""

import pytest

from alphapanda.domain.states import OrderState
from tests.rehearsal import Rehearsal

S = OrderState


@pytest.mark.exercises("RECEIVED > VALIDATED > APPROVED > SUBMITTING > FILLED")
async def test_a_market_order_is_filled_and_booked(rehearsal: Rehearsal) -> None:
    order = await rehearsal.send()
    row = await rehearsal.until(order, S.FILLED)
    assert row.filled_quantity == 10
    assert await rehearsal.path(order) == ["RECEIVED", "VALIDATED", "APPROVED", "SUBMITTING", "FILLED"]
    assert await rehearsal.scalar("SELECT sum(quantity) FROM fills") == 10
    assert await rehearsal.scalar("SELECT quantity FROM positions") == 10
    assert await rehearsal.scalar("SELECT count(*) FROM reservations") == 0


async def test_a_market_order_at_paper_leaves_no_more_history_than_it_needs(rehearsal: Rehearsal) -> None:
    order = await rehearsal.send()
    handle = rehearsal.client.get_workflow_handle(f"order:{order}")
    await handle.result()
    history = await handle.fetch_history()
    assert len(history.events) == 15
