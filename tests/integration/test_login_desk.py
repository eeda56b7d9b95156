"""A desk on the simulated Zerodha: it starts without a session, loses one, gets one, and hears postbacks.

Not among the API's other tests: the API that those share runs an orders worker on a ledger of its own.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest
from redis.asyncio import Redis
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker

from activities.broker_calls import BrokerActivities
from alphapanda.brokers.factory import RunningBroker, build_broker
from alphapanda.domain.ids import Broker, broker_task_queue, broker_workflow_id
from alphapanda.kitesim.server import KiteSim
from alphapanda.kitesim.settings import SimSettings
from alphapanda.ledger.brokers import register_brokers
from alphapanda.ledger.engine import LedgerEngine
from alphapanda.ledger.instruments import save_instruments
from alphapanda.live.postbacks import MOST_PER_PROOF, first_copy
from alphapanda.live.quotes import Tick, publish
from alphapanda.stack import StackEndpoints
from tests.integration.api.conftest import serving, settings_on
from tests.integration.api.test_login import ELSEWHERE, HERE, began, came_back, zerodha_on
from tests.integration.api.test_signals import hand_in, until
from tests.rehearsal import INFY
from workers.book_watch import BookWatch
from workflows.desk import OrderDesk, order_policy
from workflows.runtime import WorkflowsUnavailable

ZERODHA = Broker("zerodha")


@dataclass
class Desk:
    api: httpx.AsyncClient
    sim: KiteSim
    broker: RunningBroker
    watch: BookWatch

    async def log_in(self) -> None:
        """Through the browser."""
        async with httpx.AsyncClient(base_url=self.api.base_url, timeout=30) as browser:
            page = await browser.get(f"{HERE}/callback", params=await came_back(await began(self.api)))
        assert page.status_code == 200, page.text

    async def send(self, **terms: Any) -> str:
        accepted = await hand_in(self.api, brokers=["zerodha"], product="MIS", **terms)
        order_id: str = accepted["orders"][0]["order_id"]
        return order_id

    async def shown(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.api.get(HERE)).json()
        return found

    def sent(self) -> list[dict[str, Any]]:
        """The orders at the broker, in the order in which they arrived."""
        return sorted(self.sim.state()["orders"], key=lambda row: str(row["order_id"]))


@pytest.fixture
async def desk(
    stack_endpoints: StackEndpoints, ledger_url: str, ledger_engine: LedgerEngine, redis: "Redis", temporal: Client,
    tmp_path: Path,
) -> AsyncIterator[Desk]:  # fmt: skip
    """Nothing tells it of a fill but what the test sends: no socket, and no look at the book within the hour."""
    async with contextlib.AsyncExitStack() as running:
        sim = await running.enter_async_context(KiteSim(SimSettings(redirect_url=ELSEWHERE)))
        await sim.set_price("NSE", "INFY", 1500)
        settings = settings_on(
            stack_endpoints, ledger_url, tmp_path, active_brokers=["zerodha"], zerodha=zerodha_on(sim),
            orders={"poll_interval_s": 3600.0, "resolve_interval_s": 0.2}, risk={"quote_max_age_s": 600.0},
        )  # fmt: skip
        await register_brokers(ledger_engine, [ZERODHA], now=datetime.now(UTC))
        async with ledger_engine.begin() as connection:
            await save_instruments(connection, [INFY], source="test", as_of=date(2026, 11, 20))
        now = datetime.now(UTC).timestamp()
        await publish(redis, [Tick("NSE:INFY", 1500.0, now, now, 100_000, 1499.95, 1500.05)])
        api = await running.enter_async_context(serving(settings))
        orders = OrderDesk(temporal, ledger_engine, order_policy(settings))
        with contextlib.suppress(RPCError):  # an earlier test's, which knows of a session that this ledger does not
            await temporal.get_workflow_handle(broker_workflow_id(ZERODHA)).terminate("a new ledger")
        await orders.ensure_broker(ZERODHA)
        watch = BookWatch(ZERODHA, ledger_engine, orders)
        broker = build_broker(ZERODHA, settings, ledger_engine, redis, calendar=None)
        running.push_async_callback(broker.close)
        calls = BrokerActivities(broker=broker, engine=ledger_engine)
        worker = Worker(
            temporal,
            task_queue=broker_task_queue(ZERODHA),
            activities=[calls.submit_order, calls.look_up_order, calls.cancel_order, calls.modify_order],
        )
        await running.enter_async_context(worker)
        running.push_async_callback(_end_all, temporal)
        yield Desk(api, sim, broker, watch)


async def _end_all(client: Client) -> None:
    async for each in client.list_workflows('ExecutionStatus = "Running"'):
        with contextlib.suppress(Exception):  # it may have ended by itself meanwhile
            await client.get_workflow_handle(each.id).terminate("the test is over")


async def test_a_desk_without_a_session_is_degraded_not_dead(desk: Desk) -> None:
    await desk.watch.follow_session(desk.broker)
    shown = await desk.shown()
    assert shown["session"] == "LOGIN_REQUIRED"
    assert "alphapanda login --broker zerodha" in shown["next_action"]
    ready = (await desk.api.get("/health/ready")).json()
    assert ready["status"] == "degraded"
    assert "alphapanda login --broker zerodha" in ready["brokers"][0]["next_action"]
    order = await desk.send()
    waiting = await until(desk.api, order, "AWAITING_AUTH")
    assert waiting["reason_code"] == "SESSION_LOST"
    assert desk.sent() == []
    await desk.log_in()
    await until(desk.api, order, "FILLED")
    assert (await desk.shown())["next_action"] is None


async def test_an_order_of_a_desk_that_knows_nothing_yet_waits_as_well(desk: Desk) -> None:
    order = await desk.send()  # UNKNOWN: it is tried, and there is no token to try it with
    await until(desk.api, order, "AWAITING_AUTH")
    assert desk.sent() == []
    await desk.log_in()
    await until(desk.api, order, "FILLED")
    assert len(desk.sent()) == 1


async def test_a_token_that_dies_stops_all_orders_and_a_login_sends_them_exits_first(desk: Desk) -> None:
    await desk.log_in()
    await until(desk.api, await desk.send(quantity=10), "FILLED")
    desk.sim.expire_session()
    entry = await desk.send(quantity=5)
    await until(desk.api, entry, "AWAITING_AUTH")
    exit_order = await desk.send(side="SELL", quantity=10)
    await until(desk.api, exit_order, "AWAITING_AUTH")
    shown = await desk.shown()
    assert shown["session"] == "EXPIRED"
    assert len(desk.sent()) == 1
    await desk.log_in()
    for order in (entry, exit_order):
        await until(desk.api, order, "FILLED")
    assert [row["transaction_type"] for row in desk.sent()] == ["BUY", "SELL", "BUY"]


async def test_a_session_that_died_is_called_expired_by_whoever_asks_first(desk: Desk) -> None:
    await desk.log_in()
    desk.sim.expire_session()
    await desk.broker.session()  # drops the dead token, as the order-update socket's own check does
    await desk.watch.follow_session(desk.broker)
    assert (await desk.shown())["session"] == "EXPIRED"
    await desk.log_in()
    assert (await desk.shown())["session"] == "ACTIVE"


async def test_a_second_login_logs_nobody_out(desk: Desk) -> None:
    await desk.log_in()
    first = (await desk.shown())["session_since"]
    await desk.log_in()
    shown = await desk.shown()
    assert (shown["session"], shown["session_since"] > first) == ("ACTIVE", True)
    await until(desk.api, await desk.send(), "FILLED")


async def test_a_postback_makes_the_order_read_the_book_however_often_it_comes(desk: Desk) -> None:
    await desk.log_in()
    order = await desk.send(order_type="LIMIT", price="1400.00")
    resting = await until(desk.api, order, "OPEN")
    await desk.sim.set_price("NSE", "INFY", 1399)
    body = postback_of(desk.sim, resting)
    async with httpx.AsyncClient(base_url=desk.api.base_url) as outside:
        forged = await outside.post(f"{HERE}/postback", json={**body, "checksum": "0" * 64})
        assert forged.status_code == 403
        answers = await asyncio.gather(*(outside.post(f"{HERE}/postback", json=body) for _ in range(3)))
        assert [answer.status_code for answer in answers] == [200] * 3
        filled = await until(desk.api, order, "FILLED")
        assert (await outside.post(f"{HERE}/postback", json=body)).status_code == 200  # replayed when all is over
    fills = (await desk.api.get(f"/api/v1/fills?order_id={order}")).json()["items"]
    assert sum(fill["quantity"] for fill in fills) == filled["filled_quantity"] == 10


async def test_copies_of_a_postback_leave_one_signal_in_the_orders_history(desk: Desk, temporal: Client) -> None:
    await desk.log_in()
    resting = await until(desk.api, await desk.send(order_type="LIMIT", price="1400.00"), "OPEN")
    body = postback_of(desk.sim, resting)
    async with httpx.AsyncClient(base_url=desk.api.base_url) as outside:
        for given in (*[body] * 20, {**body, "filled_quantity": 7001}):
            assert (await outside.post(f"{HERE}/postback", json=given)).status_code == 200
        assert await _nudges(temporal, resting["workflow_id"]) == 2  # what is said anew may be new
        for number in range(MOST_PER_PROOF * 2):  # one proof does for whatever stands beside it
            await outside.post(f"{HERE}/postback", json={**body, "filled_quantity": number})
    assert await _nudges(temporal, resting["workflow_id"]) == MOST_PER_PROOF


async def test_a_postback_is_taken_again_where_the_order_could_not_be_told(
    desk: Desk, temporal: Client, redis: "Redis"
) -> None:
    await desk.log_in()
    resting = await until(desk.api, await desk.send(order_type="LIMIT", price="1400.00"), "OPEN")
    body = orjson.dumps(postback_of(desk.sim, resting))
    for _ in range(3):
        with pytest.raises(WorkflowsUnavailable):
            async with first_copy(redis, ZERODHA, proof="p", body=body) as is_first:
                assert is_first
                raise WorkflowsUnavailable("nobody could be told")
    await desk.api.post(f"{HERE}/postback", content=body)
    assert await _nudges(temporal, resting["workflow_id"]) == 1


async def _nudges(temporal: Client, workflow_id: str) -> int:
    events = [event async for event in temporal.get_workflow_handle(workflow_id).fetch_history_events()]
    return sum(event.workflow_execution_signaled_event_attributes.signal_name == "broker_update" for event in events)


async def test_a_postback_finds_an_order_by_the_brokers_own_id(desk: Desk) -> None:
    await desk.log_in()
    order = await desk.send(order_type="LIMIT", price="1400.00")
    resting = await until(desk.api, order, "OPEN")
    await desk.sim.set_price("NSE", "INFY", 1399)
    body = {name: value for name, value in postback_of(desk.sim, resting).items() if name != "tag"}
    assert (await desk.api.post(f"{HERE}/postback", json=body)).status_code == 200
    await until(desk.api, order, "FILLED")


def postback_of(sim: KiteSim, order: dict[str, Any]) -> dict[str, Any]:
    """As Zerodha posts it, but for what it says of the order: nobody believes that."""
    number, at = order["broker_order_id"], "2026-11-20 09:15:01"
    proof = hashlib.sha256(f"{number}{at}{sim.settings.api_secret}".encode()).hexdigest()
    return {
        "order_id": number, "order_timestamp": at, "checksum": proof, "tag": order["tag"], "guid": uuid4().hex,
        "status": "REJECTED", "filled_quantity": 7000,
    }  # fmt: skip
