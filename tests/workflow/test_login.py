"""A dead broker session: orders wait for a login wherever they are, and go on by themselves after it."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text
from temporalio.testing import ActivityEnvironment

from activities.broker_calls import BrokerActivities
from activities.messages import (
    BrokerOrderInput,
    CallOutcome,
    CancelCommand,
    ModifyCommand,
    SessionCommand,
    SwitchCommand,
)
from alphapanda.brokers.paper.faults import PaperFault
from alphapanda.brokers.paper.rehearsal import expire_session
from alphapanda.domain.execution import OrderChange
from alphapanda.domain.ids import OrderId, Tag
from alphapanda.domain.states import OrderState
from alphapanda.domain.vocabulary import OrderType, SessionState, TradingSwitch
from alphapanda.ledger.brokers import set_session
from tests.rehearsal import PAPER, Rehearsal
from tests.workflow.conftest import Rehearse
from tests.workflow.support import arm, at_exchange, eventually, holding, refused, resting, sell

S = OrderState
ANNA = "anna"
CANCEL = CancelCommand(actor=ANNA)


async def log_out(desk: Rehearsal) -> None:
    await desk.broker.session()
    await expire_session(desk.engine, PAPER)


async def log_in(desk: Rehearsal) -> None:
    await desk.broker.open_session("token")
    await desk.desk.session_opened(PAPER, SessionCommand(actor=ANNA))


async def waiting_orders(desk: Rehearsal, count: int) -> None:
    async def waiting() -> bool:
        found = await desk.desk.broker_status(PAPER)
        return found is not None and found.waiting_orders == count

    await eventually(waiting)


@pytest.mark.exercises("SUBMITTING > AWAITING_AUTH > APPROVED > SUBMITTING")
async def test_an_order_that_meets_a_dead_session_waits_and_goes_on_after_the_login(rehearsal: Rehearsal) -> None:
    await log_out(rehearsal)
    order = await rehearsal.send()
    row = await rehearsal.until(order, S.AWAITING_AUTH)
    assert row.reason_code == "SESSION_LOST"
    assert await rehearsal.scalar("SELECT session FROM broker_states") == "EXPIRED"
    assert await rehearsal.scalar("SELECT quantity FROM reservations") == 10
    await log_in(rehearsal)
    await rehearsal.until(order, S.FILLED)
    assert len(await at_exchange(rehearsal, order)) == 1


@pytest.mark.exercises("APPROVED > AWAITING_AUTH")
async def test_the_next_order_does_not_even_try_while_the_session_is_known_dead(rehearsal: Rehearsal) -> None:
    await rehearsal.desk.session_lost(PAPER, SessionCommand(actor=ANNA))
    order = await rehearsal.send()
    await rehearsal.until(order, S.AWAITING_AUTH)
    assert "SUBMITTING" not in await rehearsal.path(order)
    await waiting_orders(rehearsal, 1)
    await log_in(rehearsal)
    await rehearsal.until(order, S.FILLED)
    await waiting_orders(rehearsal, 0)


async def test_after_a_login_exits_are_woken_before_entries(rehearse_with: Rehearse) -> None:
    async with rehearse_with(paper={"latency_ms": 30}) as desk:
        await holding(desk, 10)
        await desk.desk.session_lost(PAPER, SessionCommand(actor=ANNA))
        entries = [await desk.send(quantity=quantity) for quantity in (1, 2, 3)]
        exits = [await desk.send(**sell(quantity)) for quantity in (1, 2)]
        for order in [*entries, *exits]:
            await desk.until(order, S.AWAITING_AUTH)
        await waiting_orders(desk, 5)
        await log_in(desk)
        woken: dict[OrderId, datetime] = {}
        for order in [*entries, *exits]:
            await desk.until(order, S.FILLED)
            woken[order] = next(e.at for e in await desk.events(order) if e.reason_code == "SESSION_RESTORED")
        assert set(sorted(woken, key=lambda each: woken[each])[:2]) == set(exits)


@pytest.mark.exercises("AWAITING_AUTH > CANCELLED")
async def test_an_order_waiting_for_a_login_is_cancelled_at_once(rehearsal: Rehearsal) -> None:
    await rehearsal.desk.session_lost(PAPER, SessionCommand(actor=ANNA))
    order = await rehearsal.send()
    await rehearsal.until(order, S.AWAITING_AUTH)
    assert (await rehearsal.desk.cancel(order, CANCEL)).state is S.CANCELLED
    await log_in(rehearsal)
    assert await at_exchange(rehearsal, order) == []


@pytest.mark.exercises("AWAITING_AUTH > EXPIRED")
async def test_an_order_waiting_for_a_login_expires_by_its_own_deadline(rehearsal: Rehearsal) -> None:
    await rehearsal.desk.session_lost(PAPER, SessionCommand(actor=ANNA))
    order = await rehearsal.send(expires_at=datetime.now(UTC) + timedelta(seconds=1))
    await rehearsal.until(order, S.AWAITING_AUTH)
    await rehearsal.until(order, S.EXPIRED)


@pytest.mark.exercises("AWAITING_AUTH > APPROVED > DENIED")
async def test_what_changed_during_the_outage_is_asked_again_of_an_entry_but_not_of_an_exit(
    rehearsal: Rehearsal,
) -> None:
    await holding(rehearsal, 10)
    await rehearsal.desk.session_lost(PAPER, SessionCommand(actor=ANNA))
    entry, exit_order = await rehearsal.send(), await rehearsal.send(**sell(10))
    await rehearsal.until(entry, S.AWAITING_AUTH)
    await rehearsal.until(exit_order, S.AWAITING_AUTH)
    await rehearsal.desk.set_switch(PAPER, TradingSwitch.HALTED, SwitchCommand(actor=ANNA, reason="news"))
    await log_in(rehearsal)
    row = await rehearsal.until(entry, S.DENIED)
    assert row.reason_code == "SWITCH_HALTED"
    await rehearsal.until(exit_order, S.FILLED)


async def test_an_entry_woken_by_a_login_waits_for_a_fresh_quote_before_it_is_denied(rehearsal: Rehearsal) -> None:
    await rehearsal.desk.session_lost(PAPER, SessionCommand(actor=ANNA))
    order = await rehearsal.send()
    await rehearsal.until(order, S.AWAITING_AUTH)
    await rehearsal.redis.flushall()
    await log_in(rehearsal)
    await rehearsal.quote()
    await rehearsal.until(order, S.FILLED)


@pytest.mark.exercises("OPEN > AWAITING_AUTH > OPEN")
async def test_a_resting_order_returns_to_open_after_the_login(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    await log_out(rehearsal)
    await rehearsal.desk.nudge(f"order:{order}")
    await rehearsal.until(order, S.AWAITING_AUTH)
    await log_in(rehearsal)
    await rehearsal.until(order, S.OPEN)
    await rehearsal.quote(1399.0)
    await rehearsal.until(order, S.FILLED)


@pytest.mark.exercises("PARTIALLY_FILLED > AWAITING_AUTH > PARTIALLY_FILLED")
async def test_a_part_filled_order_keeps_its_fills_through_an_outage(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    await rehearsal.quote(1399.0, volume=4)
    await rehearsal.until(order, S.PARTIALLY_FILLED)
    await log_out(rehearsal)
    await rehearsal.desk.nudge(f"order:{order}")
    await rehearsal.until(order, S.AWAITING_AUTH)
    await log_in(rehearsal)
    row = await rehearsal.until(order, S.PARTIALLY_FILLED)
    assert row.filled_quantity == 4


@pytest.mark.exercises("UNKNOWN > AWAITING_AUTH > UNKNOWN")
async def test_an_unknown_order_is_resolved_after_the_login(rehearse_with: Rehearse) -> None:
    async with rehearse_with(orders={"resolve_interval_s": 0.1}) as desk:
        await arm(desk, PaperFault.HIDE_FROM_BOOK, hide_s=2.0)
        order = await desk.send()
        await desk.until(order, S.UNKNOWN)
        await log_out(desk)
        await desk.until(order, S.AWAITING_AUTH)
        await log_in(desk)
        await desk.until(order, S.FILLED)
        assert len(await at_exchange(desk, order)) == 1


async def test_a_cancel_asked_for_during_the_outage_is_answered_then_carried_out(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    await log_out(rehearsal)
    answer = await rehearsal.desk.cancel(order, CANCEL)  # not held until somebody logs in
    assert answer.cancel_requested
    await rehearsal.until(order, S.AWAITING_AUTH)
    await log_in(rehearsal)
    await rehearsal.until(order, S.CANCELLED)


async def test_a_change_that_meets_a_dead_session_is_refused_not_kept_in_silence(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    await log_out(rehearsal)
    change = OrderChange(price=Decimal("1410.00"))
    assert (
        await refused(rehearsal.desk.modify(order, ModifyCommand(actor=ANNA, change=change))) == "ORDER_MODIFY_NOT_DONE"
    )
    await rehearsal.until(order, S.AWAITING_AUTH)
    await log_in(rehearsal)
    row = await rehearsal.until(order, S.OPEN)
    assert row.price == Decimal("1400.00")


async def test_a_cancel_while_a_resting_order_waits_for_a_login_is_kept(rehearsal: Rehearsal) -> None:
    order = await resting(rehearsal)
    await log_out(rehearsal)
    await rehearsal.desk.nudge(f"order:{order}")
    await rehearsal.until(order, S.AWAITING_AUTH)
    assert (await rehearsal.desk.cancel(order, CANCEL)).cancel_requested
    await log_in(rehearsal)
    await rehearsal.until(order, S.CANCELLED)


async def test_a_login_nobody_announced_is_found_out(skipped: Rehearsal) -> None:
    order = await skipped.send(order_type=OrderType.LIMIT, price=Decimal("1400.00"))
    await skipped.until(order, S.OPEN)
    await log_out(skipped)
    await skipped.until(order, S.AWAITING_AUTH)
    await skipped.broker.open_session("token")
    await skipped.until(order, S.OPEN)


async def test_orders_that_meet_the_dead_session_together_all_go_on(rehearsal: Rehearsal) -> None:
    await log_out(rehearsal)
    orders = await asyncio.gather(*(rehearsal.send(quantity=quantity) for quantity in range(1, 9)))
    for order in orders:
        await rehearsal.until(order, S.AWAITING_AUTH)
    await log_in(rehearsal)
    for order in orders:
        await rehearsal.until(order, S.FILLED)
        assert len(await at_exchange(rehearsal, order)) == 1
    state = await rehearsal.desk.broker_status(PAPER)
    assert state is not None
    assert state.session is SessionState.ACTIVE


async def test_a_cancel_noted_while_the_order_is_queued_ends_it_when_the_session_turns_out_dead(
    rehearse_with: Rehearse,
) -> None:
    async with rehearse_with(paper={"latency_ms": 1500}) as desk:
        await log_out(desk)
        order = await desk.send()
        await desk.until(order, S.SUBMITTING)
        await desk.desk.cancel(order, CANCEL)
        await desk.until(order, S.CANCELLED)
        assert await at_exchange(desk, order) == []


async def test_the_loss_of_an_earlier_session_does_not_end_the_one_opened_since(rehearsal: Rehearsal) -> None:
    before = datetime.now(UTC)
    await log_in(rehearsal)
    status = await rehearsal.desk.session_lost(PAPER, SessionCommand(actor=ANNA, at=before))
    assert status.session is SessionState.ACTIVE
    assert await rehearsal.scalar("SELECT session FROM broker_states") == "ACTIVE"
    status = await rehearsal.desk.session_lost(PAPER, SessionCommand(actor=ANNA, at=datetime.now(UTC)))
    assert status.session is SessionState.EXPIRED
    assert await rehearsal.scalar("SELECT session FROM broker_states") == "EXPIRED"


async def test_a_second_login_makes_what_is_told_of_the_first_old_news(rehearsal: Rehearsal) -> None:
    await log_in(rehearsal)
    between = datetime.now(UTC)
    await log_in(rehearsal)
    await set_session(rehearsal.engine, PAPER, SessionState.EXPIRED, actor="broker", reason="", at=between)
    assert await rehearsal.scalar("SELECT session FROM broker_states") == "ACTIVE"
    status = await rehearsal.desk.session_lost(PAPER, SessionCommand(actor=ANNA, at=between))
    assert status.session is SessionState.ACTIVE


async def test_a_session_seen_alive_before_it_died_stays_dead(rehearsal: Rehearsal) -> None:
    await log_in(rehearsal)
    seen_alive = datetime.now(UTC)
    await rehearsal.desk.session_lost(PAPER, SessionCommand(actor=ANNA, at=datetime.now(UTC)))
    order = await rehearsal.send()
    await rehearsal.until(order, S.AWAITING_AUTH)
    await waiting_orders(rehearsal, 1)
    status = await rehearsal.desk.session_opened(PAPER, SessionCommand(actor=ANNA, at=seen_alive))
    assert status.session is SessionState.EXPIRED
    assert status.waiting_orders == 1
    await log_in(rehearsal)
    await rehearsal.until(order, S.FILLED)


async def test_a_call_that_began_before_the_login_does_not_end_the_session_it_opened(rehearsal: Rehearsal) -> None:
    await log_out(rehearsal)
    began = asyncio.Event()

    def now() -> datetime:
        began.set()
        return datetime.now(UTC)

    calls = BrokerActivities(broker=rehearsal.broker, engine=rehearsal.engine, now=now)
    order = BrokerOrderInput(
        broker=PAPER, order_id=OrderId("paper:none"), correlation_id="c", tag=Tag("T"), broker_order_id="1"
    )
    async with rehearsal.engine.begin() as holding_it_up:
        await holding_it_up.execute(text("LOCK TABLE paper_accounts IN ACCESS EXCLUSIVE MODE"))
        call = asyncio.create_task(ActivityEnvironment().run(calls.look_up_order, order))
        await began.wait()
        await rehearsal.desk.session_opened(PAPER, SessionCommand(actor=ANNA))
    ended = await call
    assert ended.outcome is CallOutcome.NOT_AUTHENTICATED
    assert await rehearsal.scalar("SELECT session FROM broker_states") == "ACTIVE"


async def test_a_broker_without_a_session_needs_a_login_and_gets_no_order(rehearsal: Rehearsal) -> None:
    lost = SessionCommand(actor=ANNA, at=datetime.now(UTC), state=SessionState.LOGIN_REQUIRED)
    assert (await rehearsal.desk.session_lost(PAPER, lost)).session is SessionState.LOGIN_REQUIRED
    assert await rehearsal.scalar("SELECT session FROM broker_states") == "LOGIN_REQUIRED"
    order = await rehearsal.send()
    await rehearsal.until(order, S.AWAITING_AUTH)
    await waiting_orders(rehearsal, 1)
    # That a call then finds no session either is no news.
    await set_session(rehearsal.engine, PAPER, SessionState.EXPIRED, actor="broker", reason="", at=datetime.now(UTC))
    assert await rehearsal.scalar("SELECT session FROM broker_states") == "LOGIN_REQUIRED"
    assert await at_exchange(rehearsal, order) == []
    await log_in(rehearsal)
    await rehearsal.until(order, S.FILLED)


async def test_the_watch_tells_of_a_dead_session_once(rehearsal: Rehearsal) -> None:
    await log_out(rehearsal)
    for _ in range(3):
        await rehearsal.watch.follow_session(rehearsal.broker)
    told = "SELECT count(*) FROM broker_events WHERE kind = 'session'"
    assert await rehearsal.scalar(told) == 1
    await rehearsal.broker.open_session("token")
    for _ in range(3):
        await rehearsal.watch.follow_session(rehearsal.broker)
    assert await rehearsal.scalar(told) == 2
    status = await rehearsal.desk.broker_status(PAPER)
    assert status is not None
    assert status.session is SessionState.ACTIVE


async def test_after_an_outage_every_exit_reaches_the_broker_before_any_entry(rehearse_with: Rehearse) -> None:
    async with rehearse_with(paper={"latency_ms": 30}) as desk:
        await holding(desk, 30)
        await desk.desk.session_lost(PAPER, SessionCommand(actor=ANNA))
        orders = [await desk.send(quantity=quantity) for quantity in range(1, 13)]
        exits = [await desk.send(**sell(quantity)) for quantity in range(1, 7)]
        for order in [*orders, *exits]:
            await desk.until(order, S.AWAITING_AUTH)
        await waiting_orders(desk, 18)
        await log_in(desk)
        placed: dict[OrderId, datetime] = {}
        for order in [*orders, *exits]:
            await desk.until(order, S.FILLED)
            (row,) = await at_exchange(desk, order)
            placed[order] = row.placed_at
        assert set(sorted(placed, key=lambda each: placed[each])[:6]) == set(exits)
