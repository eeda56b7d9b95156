"""Lives worth keeping: short stories whose histories are stored, so that a change of workflow code must replay them."""

import base64
import json
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from activities.messages import (
    ApproveCommand,
    CancelCommand,
    ModifyCommand,
    ResolveCommand,
    SessionCommand,
    SwitchCommand,
)
from alphapanda.brokers.paper.faults import PaperFault
from alphapanda.domain.execution import MAX_MODIFICATIONS, OrderChange
from alphapanda.domain.ids import OrderId
from alphapanda.domain.states import OrderState
from alphapanda.domain.vocabulary import SessionState, TradingSwitch
from tests.rehearsal import PAPER, Rehearsal
from tests.workflow.kite_like import kite_like
from tests.workflow.support import (
    RESTING,
    arm,
    edit_book,
    eventually,
    fill_behind,
    holding,
    nudge,
    poison,
    resting,
    sell,
)

S = OrderState
ANNA = "anna"


@dataclass(frozen=True)
class Scenario:
    """Returns the order to keep, or None for the broker's workflow."""

    tell: Callable[[Rehearsal], Awaitable[OrderId | None]]
    settings: dict[str, Any] = field(default_factory=dict)


async def filled_at_once(desk: Rehearsal) -> OrderId:
    order = await desk.send()
    await desk.until(order, S.FILLED)
    return order


async def filled_in_parts_and_changed(desk: Rehearsal) -> OrderId:
    order = await resting(desk)
    await desk.quote(1399.0, volume=4)
    await desk.until(order, S.PARTIALLY_FILLED)
    change = OrderChange(quantity=12, price=Decimal("1401.00"))
    await desk.desk.modify(order, ModifyCommand(actor=ANNA, change=change))
    await desk.quote(1399.0)
    await desk.until(order, S.FILLED)
    return order


async def cancelled_then_filled_late(desk: Rehearsal) -> OrderId:
    order = await resting(desk)
    await desk.desk.cancel(order, CancelCommand(actor=ANNA))
    await fill_behind(desk, order, 10, "COMPLETE")
    await nudge(desk, order)
    await desk.until(order, S.FILLED)
    return order


async def denied_for_want_of_a_quote(desk: Rehearsal) -> OrderId:
    await desk.redis.flushall()
    order = await desk.send()
    await desk.until(order, S.DENIED)
    return order


async def approved_by_a_person(desk: Rehearsal) -> OrderId:
    order = await desk.send()
    await desk.until(order, S.AWAITING_APPROVAL)
    await desk.desk.approve(order, ApproveCommand(actor=ANNA))
    await desk.until(order, S.FILLED)
    return order


async def waited_for_a_login(desk: Rehearsal) -> OrderId:
    await desk.desk.session_lost(PAPER, SessionCommand(actor=ANNA))
    order = await desk.send()
    await desk.until(order, S.AWAITING_AUTH)
    await desk.desk.session_opened(PAPER, SessionCommand(actor=ANNA))
    await desk.until(order, S.FILLED)
    return order


async def found_after_a_lost_reply(desk: Rehearsal) -> OrderId:
    await arm(desk, PaperFault.HIDE_FROM_BOOK, hide_s=0.5)
    order = await desk.send()
    await desk.until(order, S.FILLED)
    return order


async def parked_and_sent_again_by_a_person(desk: Rehearsal) -> OrderId:
    await arm(desk, PaperFault.LOSE_REQUEST)
    order = await desk.send()
    await desk.until(order, S.PARKED)
    await desk.desk.resolve(order, ResolveCommand(actor=ANNA, state=S.SUBMITTING, note="it never arrived"))
    await desk.until(order, S.FILLED)
    return order


async def cancelled_through_temporal(desk: Rehearsal) -> OrderId:
    order = await resting(desk)
    await desk.client.get_workflow_handle(f"order:{order}").cancel()
    await desk.until(order, S.CANCELLED)
    return order


async def failed_by_poison(desk: Rehearsal) -> OrderId:
    await poison(desk)
    order = await desk.send()
    await desk.until(order, S.FAILED)
    return order


async def replaced_after_25_modifications(desk: Rehearsal) -> OrderId:
    order = await resting(desk)
    for number in range(MAX_MODIFICATIONS + 1):
        change = OrderChange(price=Decimal(1400 + (number + 1) % 2))
        await desk.desk.modify(order, ModifyCommand(actor=ANNA, change=change))
    await desk.until(order, S.OPEN)
    await desk.quote(1399.0)
    await desk.until(order, S.FILLED)
    return order


async def unfilled_rest_repriced_then_cancelled(desk: Rehearsal) -> OrderId:
    await desk.quote(volume=4)
    order = await desk.send()
    await desk.until(order, S.CANCELLED)
    return order


async def taken_and_confirmed_by_the_book(desk: Rehearsal) -> OrderId:
    async with kite_like(desk):
        order = await desk.send()
        await desk.until(order, S.FILLED)
    return order


async def stuck_at_the_broker_until_it_moved(desk: Rehearsal) -> OrderId:
    await arm(desk, PaperFault.HIDE_FROM_BOOK, hide_s=3600.0)
    order = await resting_unknown(desk)
    await edit_book(desk, order, status="PENDING", hidden_until=None)
    await desk.until(order, S.PARKED)
    await edit_book(desk, order, status="OPEN")
    await desk.desk.nudge(f"order:{order}")
    await desk.until(order, S.OPEN)
    await desk.desk.cancel(order, CancelCommand(actor=ANNA))
    await desk.until(order, S.CANCELLED)
    return order


async def resting_unknown(desk: Rehearsal) -> OrderId:
    order = await desk.send(**RESTING)
    await desk.until(order, S.UNKNOWN)
    return order


async def broker_through_an_outage_and_a_halt(desk: Rehearsal) -> None:
    await desk.desk.session_lost(PAPER, SessionCommand(actor=ANNA))
    order = await desk.send()
    await desk.until(order, S.AWAITING_AUTH)
    await desk.desk.set_switch(PAPER, TradingSwitch.HALTED, SwitchCommand(actor=ANNA, reason="news"))
    await desk.desk.set_switch(PAPER, TradingSwitch.ENABLED, SwitchCommand(actor=ANNA))
    await desk.desk.session_opened(PAPER, SessionCommand(actor=ANNA))
    await desk.until(order, S.FILLED)


async def broker_wakes_an_exit_before_an_entry(desk: Rehearsal) -> None:
    before = datetime.now(UTC)
    await holding(desk)
    await desk.desk.session_opened(PAPER, SessionCommand(actor=ANNA))
    await desk.desk.session_lost(PAPER, SessionCommand(actor=ANNA, at=before))  # old news
    await desk.desk.session_lost(
        PAPER, SessionCommand(actor=ANNA, at=datetime.now(UTC), state=SessionState.LOGIN_REQUIRED)
    )
    orders = [await desk.send(), await desk.send(**sell())]
    for order in orders:
        await desk.until(order, S.AWAITING_AUTH)

    async def both_wait() -> bool:
        found = await desk.desk.broker_status(PAPER)
        return found is not None and found.waiting_orders == 2

    await eventually(both_wait)
    await desk.desk.session_opened(PAPER, SessionCommand(actor=ANNA))
    for order in orders:
        await desk.until(order, S.FILLED)


UNRESOLVED = {"orders": {"resolve_interval_s": 0.1, "resolve_timeout_s": 1.0}}

SCENARIOS: dict[str, Scenario] = {
    story.tell.__name__.replace("_", "-"): story
    for story in (
        Scenario(filled_at_once),
        Scenario(filled_in_parts_and_changed),
        Scenario(cancelled_then_filled_late),
        Scenario(denied_for_want_of_a_quote, {"orders": {"quote_wait_s": 1.2}}),
        Scenario(approved_by_a_person, {"risk": {"approval_value": 10_000}}),
        Scenario(waited_for_a_login),
        Scenario(found_after_a_lost_reply, UNRESOLVED),
        Scenario(parked_and_sent_again_by_a_person, UNRESOLVED),
        Scenario(cancelled_through_temporal),
        Scenario(failed_by_poison),
        Scenario(replaced_after_25_modifications),
        Scenario(
            unfilled_rest_repriced_then_cancelled,
            {"orders": {"unfilled_market": "reprice", "unfilled_market_after_s": 0.3, "unfilled_market_reprices": 1}},
        ),
        Scenario(taken_and_confirmed_by_the_book, {"broker_worker": False}),
        Scenario(stuck_at_the_broker_until_it_moved, UNRESOLVED),
        Scenario(broker_through_an_outage_and_a_halt),
        Scenario(broker_wakes_an_exit_before_an_entry),
    )
}


def scrubbed(history: str) -> str:
    """The history without what tells of the machine it ran on: identities, its sticky queues, stack traces."""
    found = _scrub(json.loads(history))
    text = json.dumps(found, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    leaked = [name for name in (socket.gethostname(), "/site-packages/") if name in text or name in _payloads(found)]
    assert not leaked, f"a history tells of this machine: {leaked}"
    return text


def _scrub(value: Any) -> Any:
    if isinstance(value, list):
        return [_scrub(each) for each in value]
    if not isinstance(value, dict):
        return value
    if value.get("kind") == "TASK_QUEUE_KIND_STICKY":
        return {**value, "name": "sticky"}
    private = {"identity": "alphapanda", "stackTrace": "", "workerInstanceKey": "", "requestId": "request"}
    return {key: private[key] if key in private else _scrub(each) for key, each in value.items()}


def _payloads(value: Any) -> str:
    """All payloads of the history as text."""
    if isinstance(value, list):
        return "".join(_payloads(each) for each in value)
    if isinstance(value, dict):
        own = base64.b64decode(value["data"]).decode(errors="replace") if isinstance(value.get("data"), str) else ""
        return own + "".join(_payloads(each) for each in value.values())
    return ""
