"""Orders that wait: for a quote, for the market's open, for a person, or for their own deadline."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from activities.messages import ApproveCommand, CancelCommand, DenyCommand
from alphapanda.domain.states import OrderState
from tests.rehearsal import Rehearsal
from tests.workflow.conftest import Rehearse
from tests.workflow.support import calendar_file, eventually, refused, status

S = OrderState
ANNA = "anna"
CANCEL = CancelCommand(actor=ANNA)


async def without_quote(desk: Rehearsal) -> None:
    await desk.redis.flushall()


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


# --- for a quote -----------------------------------------------------------------------------------------------


async def test_an_entry_without_a_quote_waits_and_goes_on_when_one_comes(rehearsal: Rehearsal) -> None:
    await without_quote(rehearsal)
    order = await rehearsal.send()
    await rehearsal.until(order, S.VALIDATED)
    assert "quote" in (await status(rehearsal, order)).next_step
    await rehearsal.quote()
    await rehearsal.until(order, S.FILLED)


async def test_an_entry_whose_quote_never_comes_is_denied(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders={"quote_wait_s": 0.2}) as desk:
        await without_quote(desk)
        row = await desk.until(await desk.send(), S.DENIED)
        assert row.reason_code == "MARKET_QUOTE_UNKNOWN"


async def test_an_entry_on_a_stale_quote_is_denied_when_none_follows(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders={"quote_wait_s": 0.2}) as desk:
        await desk.quote(age_s=60)
        row = await desk.until(await desk.send(), S.DENIED)
        assert row.reason_code == "MARKET_QUOTE_STALE"


@pytest.mark.exercises("VALIDATED > CANCELLED")
async def test_an_order_waiting_for_a_quote_is_cancelled_at_once(rehearsal: Rehearsal) -> None:
    await without_quote(rehearsal)
    order = await rehearsal.send()
    await rehearsal.until(order, S.VALIDATED)
    assert (await rehearsal.desk.cancel(order, CANCEL)).state is S.CANCELLED
    assert (await rehearsal.row(order)).reason_code == "PERSON_CANCELLED"


@pytest.mark.exercises("VALIDATED > EXPIRED")
async def test_an_order_waiting_for_a_quote_expires_by_its_own_deadline(rehearsal: Rehearsal) -> None:
    await without_quote(rehearsal)
    order = await rehearsal.send(expires_at=soon(1))
    await rehearsal.until(order, S.VALIDATED)
    row = await rehearsal.until(order, S.EXPIRED)
    assert row.reason_code == "SIGNAL_EXPIRED"


@pytest.mark.exercises("RECEIVED > EXPIRED")
async def test_a_signal_that_comes_after_its_deadline_expires(rehearsal: Rehearsal) -> None:
    await rehearsal.until(await rehearsal.send(expires_at=soon(-1)), S.EXPIRED)


# --- for a person ----------------------------------------------------------------------------------------------

CONFIRMED = {"approval_value": 10_000}


@pytest.mark.exercises("VALIDATED > AWAITING_APPROVAL > APPROVED > SUBMITTING")
async def test_an_approved_order_goes_on_and_the_answer_tells_so(rehearse_with: Rehearse) -> None:
    async with rehearse_with(risk=CONFIRMED) as desk:
        order = await desk.send()
        await desk.until(order, S.AWAITING_APPROVAL)
        answer = await desk.desk.approve(order, ApproveCommand(actor=ANNA))
        assert answer.state in (S.SUBMITTING, S.FILLED)
        await desk.until(order, S.FILLED)
        approved = next(event for event in await desk.events(order) if event.to_state == S.APPROVED)
        assert (approved.actor, approved.reason_code) == (ANNA, "PERSON_APPROVED")


@pytest.mark.exercises("AWAITING_APPROVAL > DENIED")
async def test_a_denied_order_ends_with_who_and_why(rehearse_with: Rehearse) -> None:
    async with rehearse_with(risk=CONFIRMED) as desk:
        order = await desk.send()
        await desk.until(order, S.AWAITING_APPROVAL)
        note = "not\x00today\n, and never\r\nagain"  # what people paste must not stop an order
        assert (await desk.desk.deny(order, DenyCommand(actor=ANNA, note=note))).state is S.DENIED
        row = await desk.row(order)
        assert row.reason == "PERSON_DENIED: by=anna, note=not today , and never again"


@pytest.mark.exercises("AWAITING_APPROVAL > EXPIRED")
async def test_an_order_nobody_approves_in_time_expires(rehearse_with: Rehearse) -> None:
    async with rehearse_with(risk=CONFIRMED, orders={"approval_timeout_s": 0.5}) as desk:
        order = await desk.send()
        row = await desk.until(order, S.EXPIRED)
        assert row.reason_code == "APPROVAL_TIMED_OUT"
        assert await refused(desk.desk.approve(order, ApproveCommand(actor=ANNA))) == "ORDER_ENDED"


@pytest.mark.exercises("AWAITING_APPROVAL > CANCELLED")
async def test_an_order_awaiting_approval_is_cancelled_at_once(rehearse_with: Rehearse) -> None:
    async with rehearse_with(risk=CONFIRMED) as desk:
        order = await desk.send()
        await desk.until(order, S.AWAITING_APPROVAL)
        assert (await desk.desk.cancel(order, CANCEL)).state is S.CANCELLED


async def test_approval_and_denial_at_once_give_one_verdict(rehearse_with: Rehearse) -> None:
    async with rehearse_with(risk=CONFIRMED) as desk:
        order = await desk.send()
        await desk.until(order, S.AWAITING_APPROVAL)
        answers = await asyncio.gather(
            desk.desk.approve(order, ApproveCommand(actor=ANNA)),
            desk.desk.deny(order, DenyCommand(actor="bert")),
            desk.desk.approve(order, ApproveCommand(actor="carl")),
            desk.desk.cancel(order, CANCEL),
            return_exceptions=True,
        )
        assert len(answers) == 4  # everybody is answered, whoever came first
        row = await desk.until(order, S.FILLED, S.DENIED, S.CANCELLED)
        assert (await desk.path(order)).count(row.state) == 1


async def test_only_an_order_that_awaits_approval_is_approved_or_denied(rehearsal: Rehearsal) -> None:
    await without_quote(rehearsal)
    order = await rehearsal.send()
    await rehearsal.until(order, S.VALIDATED)
    assert await refused(rehearsal.desk.approve(order, ApproveCommand(actor=ANNA))) == "ORDER_NOT_IN_STATE"
    assert await refused(rehearsal.desk.deny(order, DenyCommand(actor=ANNA))) == "ORDER_NOT_IN_STATE"


async def test_an_order_approved_without_a_quote_waits_for_one_before_it_is_denied(rehearse_with: Rehearse) -> None:
    async with rehearse_with(risk=CONFIRMED, orders={"approval_timeout_s": 3600}) as desk:
        order = await desk.send()
        await desk.until(order, S.AWAITING_APPROVAL)
        await without_quote(desk)
        answer = await desk.desk.approve(order, ApproveCommand(actor=ANNA))
        assert answer.state is S.AWAITING_APPROVAL
        await desk.quote()
        await desk.until(order, S.FILLED)


# --- for the open ----------------------------------------------------------------------------------------------


@pytest.mark.exercises("VALIDATED > AWAITING_MARKET > CANCELLED")
async def test_an_order_waiting_for_the_open_is_cancelled_at_once(rehearse_with: Rehearse, tmp_path: Path) -> None:
    closed = {"always_open": False, "calendar_file": calendar_file(tmp_path, None)}
    async with rehearse_with(market=closed) as desk:
        order = await desk.send(wait_for_open=True)
        row = await desk.until(order, S.AWAITING_MARKET)
        assert "opens=" in row.reason
        assert (await desk.desk.cancel(order, CANCEL)).state is S.CANCELLED


@pytest.mark.exercises("AWAITING_MARKET > EXPIRED")
async def test_an_order_waiting_for_the_open_expires_by_its_own_deadline(
    rehearse_with: Rehearse, tmp_path: Path
) -> None:
    closed = {"always_open": False, "calendar_file": calendar_file(tmp_path, None)}
    async with rehearse_with(market=closed) as desk:
        order = await desk.send(wait_for_open=True, expires_at=soon(1))
        await desk.until(order, S.AWAITING_MARKET)
        await desk.until(order, S.EXPIRED)


@pytest.mark.exercises("AWAITING_MARKET > VALIDATED")
async def test_an_order_goes_on_at_the_open_and_gives_its_first_quote_time(
    rehearse_with: Rehearse, tmp_path: Path
) -> None:
    opening = {"always_open": False, "calendar_file": calendar_file(tmp_path, soon(2.5))}
    # The wait for the open is longer than the patience for a quote: that must begin with the open.
    async with rehearse_with(market=opening, orders={"quote_wait_s": 1.5}, risk={"quote_max_age_s": 1.2}) as desk:
        order = await desk.send(wait_for_open=True)
        await desk.until(order, S.AWAITING_MARKET)

        async def opened() -> bool:
            return (await desk.path(order)).count("VALIDATED") == 2

        await eventually(opened)
        await desk.quote()
        await desk.until(order, S.FILLED)
        assert [event.reason_code for event in await desk.events(order)][1:4] == [
            "VALIDATION_PASSED", "MARKET_WAITING_FOR_OPEN", "MARKET_OPENED",
        ]  # fmt: skip
