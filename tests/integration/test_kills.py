"""SIGKILL, wherever it hurts: one order each at the exchange, none lost, and both sets of books equal afterwards.

The exchange answers late here, so that at any moment many requests are on the wire. How long the desk took until
every order had ended is printed (`pytest -rP`), not judged.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from alphapanda.domain.ids import Broker, SignalId, StrategyId
from alphapanda.domain.signal import Signal
from alphapanda.domain.vocabulary import Exchange, OrderType, Product, Side
from alphapanda.ledger.intake import record_signal
from tests.integration.whole_desk import WholeDesk, differences, until, whole_desk

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

SYMBOLS = ("INFY", "TCS", "SBIN", "AXISBANK")
IN_FLIGHT = 40


@pytest.fixture(scope="module")
async def shared_desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[WholeDesk]:
    settings = {
        "FEED__STRATEGIES": "",
        "PAPER__LATENCY_MS": "1000",
        # What was lost on the wire is proved absent within seconds, and sent again: the risky way to end it.
        "ORDERS__RESOLVE_TIMEOUT_S": "2",
        "ORDERS__RESOLVE_INTERVAL_S": "0.3",
        "ORDERS__RESEND_WHEN_ABSENT": "true",
        "ORDERS__ABSENT_AFTER_S": "2",
    }
    async with whole_desk(tmp_path_factory.mktemp("desk"), **settings) as running:
        yield running


@pytest.fixture
async def desk(shared_desk: WholeDesk) -> WholeDesk:
    """The desk, started again on its data where the test before ended it."""
    await shared_desk.start()
    return shared_desk


def terms(number: int) -> dict[str, Any]:
    """Different orders, so that a mix-up would show: symbols, sides, quantities."""
    return {
        "tradingsymbol": SYMBOLS[number % len(SYMBOLS)],
        "side": "BUY" if number % 3 else "SELL",
        "quantity": 1 + number,
        "strategy_id": f"kill-{number % 2}",
    }


def send_many(desk: WholeDesk) -> "asyncio.Future[list[str]]":
    """Signals from clients that repeat theirs until it is answered."""
    return asyncio.gather(*(desk.send_stubbornly(**terms(number)) for number in range(IN_FLIGHT)))


async def until_mid_flight(desk: WholeDesk) -> None:
    """Until some of the orders sent last are at the exchange, and most are on their way."""
    before = await desk.scalar("SELECT count(*) FROM paper_orders")

    async def count() -> int:
        return int(await desk.scalar("SELECT count(*) FROM paper_orders")) - int(before)

    async def is_mid_flight() -> bool:
        return await count() >= 3

    await until(is_mid_flight, count)
    assert await desk.scalar("SELECT count(*) FROM orders WHERE state = 'SUBMITTING'") > 0


async def all_is_well(desk: WholeDesk, order_ids: Sequence[str]) -> None:
    """Every order ends, filled, and is at the exchange once."""
    print(f"all ended {await desk.all_ended(order_ids):.1f} s later")
    states = {row.state for row in await desk.rows(_STATES, ids=list(order_ids))}
    assert states == {"FILLED"}
    assert await desk.at_the_exchange(order_ids) == len(set(order_ids))
    assert await differences(desk.engine) == {}


_STATES = "SELECT DISTINCT state FROM orders WHERE order_id = ANY(CAST(:ids AS text[]))"


@pytest.mark.parametrize(
    "killed",
    [("workers.broker",), ("workers.orders",), ("api",), ("workers.broker", "workers.orders", "api", "workers.feed")],
    ids=["broker worker", "orders worker", "api", "all of them"],
)
async def test_processes_killed_mid_flight_lose_nothing_and_double_nothing(
    desk: WholeDesk, killed: tuple[str, ...]
) -> None:
    sending = send_many(desk)
    await until_mid_flight(desk)
    desk.kill(*killed)
    order_ids = await sending
    await all_is_well(desk, order_ids)


async def test_a_broker_worker_killed_again_while_it_recovers_still_ends_with_one_order_each(desk: WholeDesk) -> None:
    rounds = []
    for _ in range(2):
        rounds.append(send_many(desk))
        await until_mid_flight(desk)
        desk.kill("workers.broker")

        async def is_back() -> bool:
            return any("-m workers.broker" in line for line in desk.processes().values())

        await until(is_back, lambda: asyncio.sleep(0, desk.processes()))
    order_ids = [order_id for sending in rounds for order_id in await sending]
    await desk.all_ended(order_ids, or_parked=True)
    # A read that died with the worker proves nothing: such an order waits for a person, who sends it again.
    for parked in await desk.items("/orders", state="PARKED"):
        await desk.post(f"/orders/{parked['order_id']}/resolve", state="SUBMITTING")
    await all_is_well(desk, order_ids)


async def test_up_killed_mid_flight_leaves_nothing_running_and_goes_on_when_started_again(desk: WholeDesk) -> None:
    resting = await desk.rest()
    order_ids = await asyncio.gather(*(desk.send(**terms(number)) for number in range(IN_FLIGHT)))
    await until_mid_flight(desk)
    await desk.kill_all()
    await desk.start()
    await all_is_well(desk, order_ids)
    await desk.until(resting, "OPEN")
    await desk.post(f"/orders/{resting}/cancel")
    await desk.until(resting, "CANCELLED")


@pytest.mark.parametrize("server", ["valkey", "postgres", "temporal"])
async def test_a_server_killed_mid_flight_ends_the_desk_with_the_reason_and_loses_nothing(
    desk: WholeDesk, server: str
) -> None:
    order_ids = await asyncio.gather(*(desk.send(**terms(number)) for number in range(IN_FLIGHT)))
    await until_mid_flight(desk)
    os.kill(_server(desk, server), signal.SIGKILL)
    status, said = await desk.ended_by_itself()
    assert status == 1
    assert f"{server}: ended by itself with status -9" in said
    assert "next: Start again: the data is safe." in said
    await desk.start()
    await all_is_well(desk, order_ids)


def _server(desk: WholeDesk, name: str) -> int:
    if name == "postgres":
        return int((desk.data / "postgres" / "postmaster.pid").read_text().split()[0])
    return desk.pid_of({"valkey": "valkey-server", "temporal": "server start-dev"}[name])


async def test_an_order_recorded_by_a_process_that_died_before_it_started_it_is_started(desk: WholeDesk) -> None:
    now = datetime.now(UTC)
    signals = [
        Signal(
            signal_id=SignalId(f"orphan-{number}-{now.timestamp()}"),
            strategy_id=StrategyId("orphan"),
            brokers=(Broker("paper"),),
            exchange=Exchange.NSE,
            tradingsymbol="INFY",
            side=Side.BUY,
            quantity=1 + number,
            order_type=OrderType.MARKET,
            product=Product.MIS,
            generated_at=now,
        )
        for number in range(IN_FLIGHT)
    ]
    for each in signals:
        await record_signal(desk.engine, each, correlation_id="orphans", now=now - timedelta(minutes=1))
    await all_is_well(desk, [f"paper:{each.signal_id}" for each in signals])
