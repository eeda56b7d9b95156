"""The product as people use it: `alphapanda up` with its simulated market, spoken to over HTTP."""

import asyncio
import sys
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from temporalio.client import Client, WorkflowExecutionStatus

from tests.integration.whole_desk import MARKET, WholeDesk, differences, until, whole_desk

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

NEEDS_APPROVAL = 1000
"""Shares of INFY worth more than RISK__APPROVAL_VALUE."""


@pytest.fixture(scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WholeDesk]:
    """Prices move, no strategy trades on them: every order here is a test's own."""
    settings = {
        "FEED__STRATEGIES": "",
        "ORDERS__RESOLVE_TIMEOUT_S": "2",
        "ORDERS__RESOLVE_INTERVAL_S": "0.3",
        "ORDERS__LATE_FILL_WATCH_S": "1",
        "RISK__APPROVAL_VALUE": "500000",
        "RISK__MAX_ORDER_VALUE": "100000000",
        "RISK__MAX_POSITION_VALUE": "1000000000",
    }
    async with whole_desk(tmp_path_factory.mktemp("desk"), **settings) as running:
        yield running


@pytest.fixture(autouse=True)
async def equal_books(desk: WholeDesk) -> AsyncIterator[None]:
    """Whatever a test did: the ledger and the exchange agree afterwards."""
    yield
    assert await differences(desk.engine) == {}


async def refused(desk: WholeDesk, order_id: str, command: str, **body: Any) -> str:
    """The code of the 409 that a command got."""
    problem = await desk.post(f"/orders/{order_id}/{command}", 409, **body)
    assert problem["status"] == 409
    assert problem["detail"]
    code: str = problem["code"]
    return code


async def test_a_signal_becomes_a_fill_a_position_and_a_portfolio(desk: WholeDesk) -> None:
    strategy = f"whole-{uuid4().hex[:8]}"
    bought = await desk.send(strategy_id=strategy, tradingsymbol="TCS", quantity=7)
    order = await desk.until(bought, "FILLED")
    assert order["filled_quantity"] == order["quantity"] == 7
    assert order["workflow_id"] == f"order:{bought}"
    assert await desk.path(bought) == ["RECEIVED", "VALIDATED", "APPROVED", "SUBMITTING", "FILLED"]
    fills = await desk.items("/fills", order_id=bought)
    assert sum(fill["quantity"] for fill in fills) == 7
    value = sum(fill["quantity"] * Decimal(fill["price"]) for fill in fills)
    assert Decimal(order["average_price"]) == (value / 7).quantize(Decimal(order["average_price"]))
    await desk.until(await desk.send(strategy_id=strategy, tradingsymbol="TCS", quantity=3, side="SELL"), "FILLED")
    fills = await desk.items("/fills", strategy_id=strategy)
    charges = sum(Decimal(fill["charges"]) for fill in fills)
    assert charges > 0
    [position] = await desk.items("/positions", by="strategy", strategy_id=strategy)
    assert (position["quantity"], Decimal(position["charges"])) == (4, charges)
    # Profit adds up to the cash that moved: realised + what is held at cost = sold - bought.
    cash = sum((1 if f["side"] == "SELL" else -1) * f["quantity"] * Decimal(f["price"]) for f in fills)
    assert Decimal(position["realised"]) - 4 * Decimal(position["average_price"]) == pytest.approx(
        cash, abs=Decimal("0.02")
    )
    [portfolio] = await desk.items("/portfolios")
    assert portfolio["broker"] == "paper"
    [pnl] = await desk.items("/pnl")
    [share] = [each for each in pnl["strategies"] if each["strategy_id"] == strategy]
    assert Decimal(share["charges"]) == charges


async def test_the_same_signal_fifty_times_at_once_is_one_order(desk: WholeDesk) -> None:
    body = {**MARKET, "signal_id": uuid4().hex}
    answers = await asyncio.gather(*(desk.api.post("/signals", json=body) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] * 49 + [202]
    [order_id] = {order["order_id"] for answer in answers for order in answer.json()["orders"]}
    await desk.until(order_id, "FILLED")
    assert await desk.at_the_exchange([order_id]) == 1
    assert len(await desk.items("/fills", order_id=order_id)) == await desk.scalar(
        "SELECT count(*) FROM paper_trades t JOIN paper_orders p USING (broker, broker_order_id) JOIN orders o "
        "USING (broker, tag) WHERE o.order_id = :id",
        id=order_id,
    )


async def test_a_resting_order_is_modified_and_cancelled_and_refuses_what_does_not_fit(desk: WholeDesk) -> None:
    order_id = await desk.rest()
    for command, body in (("approve", {}), ("deny", {}), ("retry", {}), ("resolve", {"state": "CANCELLED"})):
        assert await refused(desk, order_id, command, **body) == "ORDER_NOT_IN_STATE"
    modified = await desk.post(f"/orders/{order_id}/modify", quantity=12)
    assert modified["quantity"] == 12
    await desk.post(f"/orders/{order_id}/cancel")
    order = await desk.until(order_id, "CANCELLED")
    assert (order["quantity"], order["filled_quantity"]) == (12, 0)
    assert await refused(desk, order_id, "cancel") == "ORDER_ENDED"
    assert await refused(desk, order_id, "modify", quantity=5) == "ORDER_ENDED"


async def test_a_limit_moved_to_the_market_fills(desk: WholeDesk) -> None:
    order_id = await desk.rest()
    near = (await desk.last_price() * Decimal("1.01")).quantize(Decimal("0.1"))
    await desk.post(f"/orders/{order_id}/modify", price=str(near))
    assert Decimal((await desk.until(order_id, "FILLED"))["average_price"]) <= near


async def test_an_order_that_waits_for_a_person_is_approved_or_denied_once(desk: WholeDesk) -> None:
    approved, denied = [await desk.send(quantity=NEEDS_APPROVAL) for _ in range(2)]
    for order_id in (approved, denied):
        assert (await desk.until(order_id, "AWAITING_APPROVAL"))["next_step"] == "Approve or deny it."
        assert await desk.at_the_exchange([order_id]) == 0
    await desk.post(f"/orders/{approved}/approve")
    assert (await desk.post(f"/orders/{denied}/deny", note="too much"))["state"] == "DENIED"
    await desk.until(approved, "FILLED")
    assert await refused(desk, denied, "approve") == "ORDER_ENDED"
    assert await refused(desk, approved, "deny") == "ORDER_ENDED"
    assert "too much" in (await desk.items(f"/orders/{denied}/events"))[-1]["reason"]
    assert await desk.at_the_exchange([approved, denied]) == 1


async def test_a_dead_session_keeps_orders_waiting_and_a_login_lets_them_go_on(desk: WholeDesk) -> None:
    resting = await desk.rest()
    await desk.post("/brokers/paper/rehearse", expire_session=True)
    waiting = [await desk.send(), await desk.send(side="SELL", quantity=1)]
    for order_id in waiting:
        assert "Log in" in (await desk.until(order_id, "AWAITING_AUTH"))["next_step"]
    assert (await desk.get("/brokers/paper"))["session"] == "EXPIRED"
    cancelled = await desk.send()
    await desk.until(cancelled, "AWAITING_AUTH")
    await desk.post(f"/orders/{cancelled}/cancel")
    await desk.until(cancelled, "CANCELLED")
    assert (await desk.post("/brokers/paper/session", request_token="any"))["session"] == "ACTIVE"
    for order_id in waiting:
        await desk.until(order_id, "FILLED")
        assert (await desk.path(order_id)).count("FILLED") == 1
    assert await desk.at_the_exchange([*waiting, cancelled]) == 2
    await desk.until(resting, "OPEN")
    await desk.post(f"/orders/{resting}/cancel")
    await desk.until(resting, "CANCELLED")


async def test_an_order_whose_reply_was_lost_is_found_in_the_book_and_not_sent_again(desk: WholeDesk) -> None:
    await desk.post("/brokers/paper/rehearse", fault="LOSE_REPLY", count=1)
    order_id = await desk.send()
    await desk.until(order_id, "FILLED")
    path = await desk.path(order_id)
    assert path[path.index("SUBMITTING") :] == ["SUBMITTING", "UNKNOWN", "FILLED"]
    assert await desk.at_the_exchange([order_id]) == 1


async def test_an_order_whose_request_was_lost_is_parked_for_a_person(desk: WholeDesk) -> None:
    await desk.post("/brokers/paper/rehearse", fault="LOSE_REQUEST", count=2)
    given_up, sent_again = [await desk.send() for _ in range(2)]
    for order_id in (given_up, sent_again):
        order = await desk.until(order_id, "PARKED")
        assert order["tag"] in (await desk.items(f"/orders/{order_id}/events"))[-1]["reason"]
        assert await refused(desk, order_id, "cancel") == "ORDER_PARKED"
        assert await refused(desk, order_id, "resolve", state="FILLED") == "RESOLVE_NOT_IN_BOOK"
    assert await desk.at_the_exchange([given_up, sent_again]) == 0
    resolved = await desk.post(f"/orders/{given_up}/resolve", state="CANCELLED", note="it never arrived")
    assert resolved["state"] == "CANCELLED"
    await desk.post(f"/orders/{sent_again}/resolve", state="SUBMITTING", note="send it again")
    await desk.until(sent_again, "FILLED")
    assert await desk.at_the_exchange([given_up, sent_again]) == 1


async def test_an_exchange_s_rejection_ends_the_order_with_its_words(desk: WholeDesk) -> None:
    await desk.post("/brokers/paper/rehearse", fault="REJECT_NEXT", count=1)
    order = await desk.until(await desk.send(), "REJECTED")
    assert "rejected by the exchange" in order["reason"]


async def test_a_halt_denies_entries_lets_exits_pass_and_ends_with_resume(desk: WholeDesk) -> None:
    await desk.until(await desk.send(tradingsymbol="SBIN", quantity=20), "FILLED")
    assert (await desk.post("/brokers/paper/halt", reason="rehearsal"))["switch"] == "HALTED"
    entry = await desk.until(await desk.send(tradingsymbol="SBIN"), "DENIED")
    assert entry["reason_code"] == "SWITCH_HALTED"
    await desk.until(await desk.send(tradingsymbol="SBIN", side="SELL", quantity=20), "FILLED")
    assert (await desk.post("/brokers/paper/exits-only"))["switch"] == "EXITS_ONLY"
    assert (await desk.until(await desk.send(tradingsymbol="SBIN"), "DENIED"))["reason_code"] == "SWITCH_EXITS_ONLY"
    assert (await desk.post("/brokers/paper/resume"))["switch"] == "ENABLED"
    await desk.until(await desk.send(tradingsymbol="SBIN"), "FILLED")


async def test_an_order_is_found_and_understood_in_temporal(desk: WholeDesk) -> None:
    strategy = f"seen-{uuid4().hex[:8]}"
    order_id = await desk.send(strategy_id=strategy, side="SELL")
    await desk.until(order_id, "FILLED")
    assert desk.endpoints.temporal_address is not None
    client = await Client.connect(desk.endpoints.temporal_address)
    wanted = (
        f"Broker = 'paper' AND Strategy = '{strategy}' AND Instrument = 'NSE:INFY' AND Side = 'SELL' "
        "AND OrderState = 'FILLED'"
    )

    async def found() -> list[str]:
        return [each.id async for each in client.list_workflows(wanted)]

    async def is_found() -> bool:  # the visibility store follows the history at a small distance
        return await found() == [f"order:{order_id}"]

    await until(is_found, found)
    described = await client.get_workflow_handle(f"order:{order_id}").describe()
    assert described.status is WorkflowExecutionStatus.COMPLETED
    assert await described.static_summary() == f"SELL 10 NSE:INFY @ MARKET · paper · {strategy}"


async def test_a_resting_order_explains_itself_in_temporal(desk: WholeDesk) -> None:
    order_id = await desk.rest()
    assert desk.endpoints.temporal_address is not None
    client = await Client.connect(desk.endpoints.temporal_address)
    handle = client.get_workflow_handle(f"order:{order_id}")
    details = str(await handle.query("__temporal_workflow_metadata"))
    assert "rests at the broker" in details
    await handle.cancel()  # the web UI's own button means the order, too
    await desk.until(order_id, "CANCELLED")
