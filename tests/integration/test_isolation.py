"""Two brokers on one desk, each in every kind of trouble while the other trades on, and nothing crosses.

"While" is proved by order and not by time: what one broker is given to do is done entirely while the other's orders
are still in flight, more of them than it can work on at once.
"""

import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.integration import crossing
from tests.integration.crossing import BROKERS, OTHER
from tests.integration.whole_desk import ENDED, MARKET, WholeDesk, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

MANY = 12
"""More orders than the adapter of zerodha has threads for order calls."""

SIMULATOR = "alphapanda.cli kite-sim"

Ids = dict[str, list[str]]


class TwoBrokers(WholeDesk):
    """`alphapanda up --broker paper --broker zerodha --kite-sim`, and a hand on the simulator."""

    sim: httpx.AsyncClient

    async def start(self) -> None:
        await super().start()
        port = re.search(r"--port (\d+)", self.processes()[self.pid_of(SIMULATOR)])
        assert port is not None
        self.sim = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port[1]}", trust_env=False)
        await self.log_in()

    async def close(self) -> None:
        if hasattr(self, "sim"):
            await self.sim.aclose()
        await super().close()

    async def log_in(self) -> None:
        """As the browser does: the login page, back to the callback."""
        page = (await self.get("/brokers/zerodha/login"))["login_url"]
        async with httpx.AsyncClient(follow_redirects=True, trust_env=False) as browser:
            assert (await browser.get(page)).status_code == 200

    async def heal(self, broker: str) -> None:
        if broker == "paper":
            await self.post("/brokers/paper/session", request_token="any")
        else:
            await self.log_in()

    async def expire(self, broker: str) -> None:
        if broker == "paper":
            await self.post("/brokers/paper/rehearse", expire_session=True)
        else:
            await self.control("POST", "/sim/session/expire")

    async def control(self, method: str, path: str, **body: Any) -> None:
        assert (await self.sim.request(method, path, json=body)).status_code == 200

    async def placed_at_the_simulator(self) -> int:
        return len((await self.sim.get("/sim/state")).json()["orders"])

    async def signals(self, count: int = 1, brokers: Iterable[str] = BROKERS, **terms: Any) -> Ids:
        """That many signals, each to all of the brokers: one order for each of them."""
        made: Ids = {broker: [] for broker in brokers}
        for number in range(count):
            body = {**MARKET, "signal_id": uuid4().hex, "brokers": list(brokers), "quantity": 1 + number, **terms}
            for order in (await self.post("/signals", 202, **body))["orders"]:
                made[order["broker"]].append(order["order_id"])
        return made

    async def all_are(self, order_ids: list[str], *states: str) -> None:
        async def counted() -> dict[str, int]:
            query = "SELECT state, count(*) FROM orders WHERE order_id = ANY(CAST(:ids AS text[])) GROUP BY 1"
            return {row[0]: row[1] for row in await self.rows(query, ids=order_ids)}

        async def they_are() -> bool:
            found = await counted()
            return sum(found.get(state, 0) for state in states) == len(order_ids)

        await until(they_are, counted)

    async def in_flight(self, order_ids: list[str]) -> None:
        """None of them has ended, as of now."""
        query = """SELECT order_id, state FROM orders
            WHERE order_id = ANY(CAST(:ids AS text[])) AND state = ANY(CAST(:ended AS text[]))"""
        assert await self.rows(query, ids=order_ids, ended=list(ENDED)) == []


@contextmanager
def hanging(pid: int) -> Any:
    """The process does not run, and nobody is told: connections stay open, requests are taken by the kernel."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture(scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TwoBrokers]:
    settings = {
        "FEED__STRATEGIES": "",
        # Longer than any trouble below: what hangs stays in flight until the test lets it go.
        "ZERODHA__ORDER_TIMEOUT_S": "60",
        "ORDERS__SUBMIT_TIMEOUT_S": "90",
        "ORDERS__RESOLVE_INTERVAL_S": "0.3",
        "ORDERS__LATE_FILL_WATCH_S": "1",
    }
    options = ("--broker", "paper", "--broker", "zerodha", "--kite-sim")
    running = TwoBrokers(tmp_path_factory.mktemp("desk"), *options, **settings)
    try:
        await running.start()
        yield running
    finally:
        await running.close()


@pytest.fixture(autouse=True)
async def nothing_crossed(desk: TwoBrokers) -> AsyncIterator[None]:
    """Whatever a test did to one broker: ledger and keys show each one's own."""
    yield
    await crossing.look_in_the_ledger(desk)
    await crossing.look_at_the_simulator(desk, desk.sim)
    await crossing.look_in_redis(desk)


async def test_one_signal_is_an_order_of_its_own_at_each_broker(desk: TwoBrokers) -> None:
    made = await desk.signals(3)
    for broker in BROKERS:
        await desk.all_are(made[broker], "FILLED")
    only = {broker: (await desk.signals(1, [broker], quantity=70))[broker] for broker in BROKERS}
    for broker in BROKERS:
        await desk.all_are(only[broker], "FILLED")
        assert all(order_id.startswith(f"{broker}:") for order_id in [*made[broker], *only[broker]])
        assert (await desk.order(only[broker][0]))["broker"] == broker
    signal_id = only["paper"][0].partition(":")[2]
    assert [order["broker"] for order in (await desk.get(f"/signals/{signal_id}"))["orders"]] == ["paper"]


async def test_a_hung_zerodha_holds_up_none_of_papers_orders_and_no_answer(desk: TwoBrokers) -> None:
    resting = (await desk.signals(1, ["paper"], order_type="LIMIT", price=await _far(desk)))["paper"]
    await desk.all_are(resting, "OPEN")
    with hanging(desk.pid_of(SIMULATOR)):
        made = await desk.signals(MANY)
        await desk.all_are(made["paper"], "FILLED")
        await desk.post(f"/orders/{resting[0]}/modify", quantity=12)
        await desk.post(f"/orders/{resting[0]}/cancel")
        await desk.all_are(resting, "CANCELLED")
        for path in ("/brokers", "/brokers/zerodha", "/brokers/paper", "/orders", "/portfolios", "/positions", "/pnl"):
            await desk.get(path)
        assert {item["broker"] for item in await desk.items("/orders", broker="zerodha")} == {"zerodha"}
        # Nothing of all that waited for zerodha: it is still to begin.
        await desk.in_flight(made["zerodha"])
    await desk.all_are(made["zerodha"], "FILLED")


async def test_a_hung_paper_broker_holds_up_none_of_zerodhas_orders(desk: TwoBrokers) -> None:
    with hanging(desk.pid_of(worker_of("paper"))):
        made = await desk.signals(MANY)
        await desk.all_are(made["zerodha"], "FILLED")
        await desk.in_flight(made["paper"])
    await desk.all_are(made["paper"], "FILLED")


@pytest.mark.parametrize("broker", BROKERS)
async def test_a_dead_session_is_one_brokers(desk: TwoBrokers, broker: str) -> None:
    await desk.expire(broker)
    made = await desk.signals(3)
    await desk.all_are(made[broker], "AWAITING_AUTH")
    await desk.all_are(made[OTHER[broker]], "FILLED")
    assert (await desk.get(f"/brokers/{OTHER[broker]}"))["session"] == "ACTIVE"
    assert (await desk.get(f"/brokers/{broker}"))["waiting_orders"] == 3
    assert (await desk.get(f"/brokers/{OTHER[broker]}"))["waiting_orders"] == 0
    await desk.heal(broker)
    await desk.all_are(made[broker], "FILLED")


@pytest.mark.parametrize("broker", BROKERS)
async def test_a_halt_is_one_brokers(desk: TwoBrokers, broker: str) -> None:
    await desk.post(f"/brokers/{broker}/halt", reason="rehearsal")
    made = await desk.signals(3, tradingsymbol="SBIN")
    await desk.all_are(made[broker], "DENIED")
    await desk.all_are(made[OTHER[broker]], "FILLED")
    assert (await desk.get(f"/brokers/{OTHER[broker]}"))["switch"] == "ENABLED"
    await desk.post(f"/brokers/{broker}/resume")
    made = await desk.signals(1, tradingsymbol="SBIN")
    await desk.all_are(made[broker], "FILLED")
    await desk.all_are(made[OTHER[broker]], "FILLED")


async def test_what_zerodha_refuses_as_too_much_slows_zerodha_alone(desk: TwoBrokers) -> None:
    await desk.control("POST", "/sim/faults", fault="too-many-requests", count=None)
    made = await desk.signals(3)
    await desk.all_are(made["paper"], "FILLED")
    await desk.in_flight(made["zerodha"])
    await desk.control("DELETE", "/sim/faults")
    await desk.all_are(made["zerodha"], "FILLED")


async def test_a_worker_of_zerodha_that_is_killed_takes_no_order_of_paper_along(desk: TwoBrokers) -> None:
    before = await desk.placed_at_the_simulator()
    await desk.control("POST", "/sim/faults", fault="timeout-after", count=4, seconds=600)
    sent = (await desk.signals(4, ["zerodha"]))["zerodha"]

    async def all_taken() -> bool:
        return await desk.placed_at_the_simulator() == before + 4

    await until(all_taken, desk.placed_at_the_simulator)
    paper = desk.pid_of(worker_of("paper"))
    os.kill(desk.pid_of(worker_of("zerodha")), signal.SIGKILL)
    made = await desk.signals(MANY, ["paper"])
    await desk.all_are(made["paper"], "FILLED")
    await desk.all_are(sent, "FILLED")
    assert desk.pid_of(worker_of("paper")) == paper
    assert await desk.placed_at_the_simulator() == before + 4


async def test_workflows_logs_and_answers_name_each_broker_for_what_is_its_own(desk: TwoBrokers) -> None:
    made = await desk.signals(2)
    for broker in BROKERS:
        await desk.all_are(made[broker], "FILLED")
    await crossing.look_in_temporal(desk)
    await crossing.look_in_the_logs(desk)
    await crossing.look_through_the_api(desk)


def test_the_process_of_paper_holds_no_credentials_of_zerodha(desk: TwoBrokers) -> None:
    given = {broker: _environment(desk.pid_of(worker_of(broker))) for broker in BROKERS}
    for name in ("ALPHAPANDA_ZERODHA__API_KEY", "ALPHAPANDA_ZERODHA__API_SECRET"):
        assert given["zerodha"][name]
        assert not given["paper"][name]  # there, and empty: so that no .env file fills it


def worker_of(broker: str) -> str:
    return f"workers.broker --broker {broker}"


def _environment(pid: int) -> dict[str, str]:
    given = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return {name: value for name, _, value in (each.partition("=") for each in given)}


async def _far(desk: TwoBrokers) -> str:
    return str(round(await desk.last_price() * 95 / 100, 0))
