"""What the API does while a part is down, and that it recovers by itself."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy.engine.url import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.stack import StackEndpoints
from tests.integration.api.conftest import TOKEN, serving, settings_on
from tests.integration.api.gate import Gate, shut_gate
from tests.integration.api.rows import write_position
from tests.integration.api.test_signals import MARKET
from tests.rehearsal import Rehearsal


@pytest.fixture
async def temporal_gate(stack_endpoints: StackEndpoints) -> AsyncIterator[Gate]:
    assert stack_endpoints.temporal_address is not None
    host, _, port = stack_endpoints.temporal_address.partition(":")
    async with shut_gate(lambda: asyncio.open_connection(host, int(port))) as gate:
        yield gate


@pytest.fixture
async def ledger_gate(ledger_url: str) -> AsyncIterator[Gate]:
    url = make_url(ledger_url)
    folder, port = url.query.get("host"), url.port or url.query.get("port") or 5432

    async def dial() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if folder:
            return await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{port}")
        return await asyncio.open_connection(url.host, int(str(port)))

    async with shut_gate(dial) as gate:
        yield gate


def through(ledger_url: str, gate: Gate) -> str:
    url = make_url(ledger_url).set(host="127.0.0.1", port=gate.port, query={})
    return url.render_as_string(hide_password=False)


async def ready(api: httpx.AsyncClient) -> tuple[int, dict[str, Any]]:
    answer = await api.get("/health/ready")
    return answer.status_code, answer.json()


async def until_status(api: httpx.AsyncClient, path: str, status: int) -> httpx.Response:
    deadline = time.monotonic() + 60
    while (answer := await api.get(path)).status_code != status:
        assert time.monotonic() < deadline, answer.text
        await asyncio.sleep(0.1)
    return answer


async def test_with_all_parts_up_it_is_ready_and_tells_what_lacks_for_trading(
    rehearsal: Rehearsal, api: httpx.AsyncClient
) -> None:
    status, document = await ready(api)
    assert status == 200
    assert {name: part["status"] for name, part in document["components"].items()} == {
        "ledger": "up",
        "temporal": "up",
        "live": "up",
    }
    (broker,) = document["brokers"]
    assert broker["switch"] == "ENABLED"
    # Neither a broker's process nor a feed runs in this test: no sign of life, said with what to do.
    assert broker["worker"]["status"] == "down"
    assert "workers.run --broker paper" in broker["worker"]["next_action"]
    assert document["status"] == "degraded"


async def test_without_temporal_reads_go_on_and_nothing_is_accepted(
    stack_endpoints: StackEndpoints, ledger_url: str, tmp_path: Path, temporal_gate: Gate
) -> None:
    address = f"127.0.0.1:{temporal_gate.port}"
    async with serving(settings_on(stack_endpoints, ledger_url, tmp_path, temporal={"address": address})) as api:
        assert (await api.get("/health/live")).status_code == 200
        status, document = await ready(api)
        assert status == 503
        assert document["components"]["temporal"]["status"] == "down"
        assert document["components"]["ledger"]["status"] == "up"
        assert "Temporal" in document["components"]["temporal"]["next_action"]
        assert (await api.get("/api/v1/orders")).status_code == 200
        refused = await api.post("/api/v1/signals", json={**MARKET, "signal_id": "early"})
        assert (refused.status_code, refused.json()["code"]) == (503, "TEMPORAL_UNAVAILABLE")
        assert (await api.get("/api/v1/signals")).json()["items"] == []
        broker = (await api.get("/api/v1/brokers/paper")).json()
        assert (broker["session"], broker["switch"], broker["waiting_orders"]) == ("UNKNOWN", None, None)

        await temporal_gate.open()
        await until_status(api, "/health/ready", 200)


async def test_without_the_ledger_data_is_503_until_it_is_back(
    stack_endpoints: StackEndpoints, ledger_url: str, tmp_path: Path, ledger_gate: Gate
) -> None:
    database = {"url": through(ledger_url, ledger_gate)}
    async with serving(settings_on(stack_endpoints, ledger_url, tmp_path, database=database)) as api:
        assert (await api.get("/health/live")).status_code == 200
        status, document = await ready(api)
        assert status == 503
        assert document["components"]["ledger"]["status"] == "down"
        assert document["components"]["temporal"]["status"] == "up"
        for path in ("orders", "signals", "fills", "positions", "portfolios", "pnl", "brokers", "instruments"):
            answer = await api.get(f"/api/v1/{path}")
            assert (answer.status_code, answer.json()["code"]) == (503, "LEDGER_UNAVAILABLE"), path
        refused = await api.post("/api/v1/signals", json=MARKET)
        assert (refused.status_code, refused.json()["code"]) == (503, "LEDGER_UNAVAILABLE")

        await ledger_gate.open()
        await until_status(api, "/api/v1/orders", 200)
        await ledger_gate.shut()
        await until_status(api, "/api/v1/orders", 503)
        await ledger_gate.open()
        await until_status(api, "/health/ready", 200)
        assert (await api.get("/api/v1/orders")).status_code == 200


async def test_a_ledger_restarted_while_connections_idle_is_not_noticed_by_readers(
    stack_endpoints: StackEndpoints, ledger_url: str, tmp_path: Path, ledger_gate: Gate
) -> None:
    await ledger_gate.open()
    database = {"url": through(ledger_url, ledger_gate)}
    async with serving(settings_on(stack_endpoints, ledger_url, tmp_path, database=database)) as api:
        assert (await api.get("/api/v1/orders")).status_code == 200
        await ledger_gate.shut()
        await ledger_gate.open()
        assert (await api.get("/api/v1/orders")).status_code == 200


async def test_without_redis_it_is_degraded_and_prices_are_unknown(
    stack_endpoints: StackEndpoints, ledger_url: str, ledger_engine: AsyncEngine, tmp_path: Path
) -> None:
    await write_position(ledger_engine)
    redis = {"url": f"unix://{tmp_path}/nobody.sock"}
    async with serving(settings_on(stack_endpoints, ledger_url, tmp_path, redis=redis)) as api:
        status, document = await ready(api)
        assert (status, document["status"]) == (200, "degraded")
        assert document["components"]["live"] == {
            "status": "down",
            "required": False,
            "detail": "Redis does not answer: ConnectionError",
            "next_action": document["components"]["live"]["next_action"],
        }
        assert document["brokers"][0]["worker"]["status"] == "unknown"
        (position,) = (await api.get("/api/v1/positions")).json()["items"]
        assert position["last_price"] is None
        assert position["unrealised"] is None


async def test_without_any_stack_it_starts_and_says_what_to_do(tmp_path: Path, stack_endpoints: StackEndpoints) -> None:
    nowhere = settings_on(stack_endpoints, "", tmp_path, database={}, redis={}, temporal={}, api={"admin_token": TOKEN})
    async with serving(nowhere) as api:
        assert (await api.get("/health/live")).status_code == 200
        status, document = await ready(api)
        assert status == 503
        assert "alphapanda up" in document["components"]["ledger"]["next_action"]
        answer = await api.get("/api/v1/orders")
        assert (answer.status_code, answer.json()["code"]) == (503, "LEDGER_UNAVAILABLE")
