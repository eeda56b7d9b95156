"""An unexpected error before the wire ends the order as FAILED, kept for retry; after it, nothing is given up."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from temporalio.client import WorkflowFailureError

from activities.messages import ApproveCommand, SessionCommand
from alphapanda.domain.ids import OrderId
from alphapanda.domain.states import OrderState
from tests.rehearsal import PAPER, Rehearsal
from tests.workflow.conftest import Rehearse
from tests.workflow.support import at_exchange, calendar_file, eventually, mend, poison, refused

S = OrderState
ANNA = "anna"


async def failed(desk: Rehearsal, order: OrderId) -> Any:
    row = await desk.until(order, S.FAILED)
    assert row.reason_code == "INTERNAL_ERROR"
    with pytest.raises(WorkflowFailureError):
        await desk.client.get_workflow_handle(f"order:{order}").result()
    return row


@pytest.mark.exercises("RECEIVED > FAILED > RECEIVED")
async def test_a_poisoned_order_fails_once_and_is_retried_by_a_person(rehearsal: Rehearsal) -> None:
    await poison(rehearsal)
    order = await rehearsal.send()
    await failed(rehearsal, order)
    await mend(rehearsal)
    await rehearsal.desk.retry(order, actor=ANNA)
    await rehearsal.until(order, S.FILLED)
    received = [event for event in await rehearsal.events(order) if event.to_state == S.RECEIVED]
    assert [event.actor for event in received] == ["test", ANNA]
    assert len(await at_exchange(rehearsal, order)) == 1


async def test_a_poisoned_order_does_not_stop_the_next_one(rehearsal: Rehearsal) -> None:
    await poison(rehearsal)
    first = await rehearsal.send()
    await failed(rehearsal, first)
    await mend(rehearsal)
    await rehearsal.until(await rehearsal.send(), S.FILLED)


async def test_many_retries_at_once_start_one_more_life(rehearsal: Rehearsal) -> None:
    await poison(rehearsal)
    order = await rehearsal.send()
    await failed(rehearsal, order)
    await mend(rehearsal)
    answers = await asyncio.gather(*(rehearsal.desk.retry(order, actor=ANNA) for _ in range(8)), return_exceptions=True)
    assert sum(not isinstance(answer, BaseException) for answer in answers) == 1
    await rehearsal.until(order, S.FILLED)
    assert len(await at_exchange(rehearsal, order)) == 1


async def test_only_a_failed_order_is_retried(rehearsal: Rehearsal) -> None:
    order = await rehearsal.send()
    await rehearsal.until(order, S.FILLED)
    assert await refused(rehearsal.desk.retry(order, actor=ANNA)) == "ORDER_NOT_IN_STATE"


@pytest.mark.exercises("VALIDATED > FAILED")
async def test_an_order_poisoned_while_it_waits_for_a_quote_fails(rehearsal: Rehearsal) -> None:
    await rehearsal.redis.flushall()
    order = await rehearsal.send()
    await rehearsal.until(order, S.VALIDATED)
    await poison(rehearsal)
    await failed(rehearsal, order)


@pytest.mark.exercises("AWAITING_APPROVAL > FAILED")
async def test_an_order_poisoned_before_its_approval_fails_and_the_person_is_answered(rehearse_with: Rehearse) -> None:
    async with rehearse_with(risk={"approval_value": 10_000}) as desk:
        order = await desk.send()
        await desk.until(order, S.AWAITING_APPROVAL)
        await poison(desk)
        assert await refused(desk.desk.approve(order, ApproveCommand(actor=ANNA))) == "ORDER_ENDED"
        await failed(desk, order)


@pytest.mark.exercises("AWAITING_MARKET > FAILED")
async def test_an_order_poisoned_before_the_open_fails(rehearse_with: Rehearse, tmp_path: Path) -> None:
    opens = datetime.now(UTC) + timedelta(seconds=2)
    opening = {"always_open": False, "calendar_file": calendar_file(tmp_path, opens)}
    async with rehearse_with(market=opening) as desk:
        order = await desk.send(wait_for_open=True)
        await desk.until(order, S.AWAITING_MARKET)
        await poison(desk)
        await failed(desk, order)


async def test_an_instrument_with_an_unknown_segment_fails_and_is_retried_by_a_mended_desk(
    rehearse_with: Rehearse, tmp_path: Path
) -> None:
    opened = {"always_open": False, "calendar_file": calendar_file(tmp_path, datetime.now(UTC))}
    async with rehearse_with(market=opened) as desk:
        async with desk.engine.begin() as connection:
            await connection.execute(text("UPDATE instruments SET segment = 'NOWHERE'"))
        order = await desk.send()
        await failed(desk, order)
    async with rehearse_with(market=opened) as desk:  # with the day's instruments loaded again
        await desk.desk.retry(order, actor=ANNA)
        await desk.until(order, S.FILLED)


async def test_an_order_that_reserves_its_exposure_does_not_fail_but_waits_for_the_fault_to_be_mended(
    rehearsal: Rehearsal,
) -> None:
    await rehearsal.desk.session_lost(PAPER, SessionCommand(actor=ANNA))
    order = await rehearsal.send()
    await rehearsal.until(order, S.AWAITING_AUTH)
    await poison(rehearsal)
    await rehearsal.desk.session_opened(PAPER, SessionCommand(actor=ANNA))

    async def task_failed() -> bool:
        handle = rehearsal.client.get_workflow_handle(f"order:{order}")
        return any(
            event.HasField("workflow_task_failed_event_attributes") for event in (await handle.fetch_history()).events
        )

    await eventually(task_failed)
    assert (await rehearsal.row(order)).state == S.AWAITING_AUTH
    await mend(rehearsal)
    await rehearsal.until(order, S.FILLED)
