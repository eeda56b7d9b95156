"""The embedded servers: they serve, they are private, they stop, and they say why when they cannot start."""

import asyncio
import os
import socket
import stat
import sys
import urllib.request
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from alphapanda.stack import EmbeddedStack, StackStartError, erase, read_endpoints
from alphapanda.stack.temporal import SEARCH_ATTRIBUTES


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack") / "data"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(data_dir: Path) -> AsyncIterator[EmbeddedStack]:
    async with EmbeddedStack(data_dir, ui_port=0, durable=False) as running:
        yield running


async def _query(url: str | None, statement: str) -> list[tuple[object, ...]]:
    assert url is not None
    engine = create_async_engine(url)
    try:
        async with engine.begin() as connection:
            result = await connection.execute(text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []
    finally:
        await engine.dispose()


async def test_postgres_answers_with_durable_settings(stack: EmbeddedStack) -> None:
    shown = {}
    for name in ("fsync", "synchronous_commit", "max_connections", "server_encoding", "timezone"):
        [(shown[name],)] = await _query(stack.endpoints.database_url, f"SHOW {name}")
    assert shown == {
        "fsync": "on",
        "synchronous_commit": "on",
        "max_connections": "200",
        "server_encoding": "UTF8",
        "timezone": "UTC",
    }


async def test_valkey_answers_and_keeps_nothing_on_disk(stack: EmbeddedStack, data_dir: Path) -> None:
    assert stack.endpoints.redis_url is not None
    async with Redis.from_url(stack.endpoints.redis_url) as redis:
        await redis.xadd("fan-out", {"event": "x"})
        assert await redis.xlen("fan-out") == 1
        policy = await redis.config_get("maxmemory*")
        assert policy["maxmemory-policy"] == "allkeys-lru"
        assert int(policy["maxmemory"] or 0) > 0
    assert list((data_dir / "valkey").iterdir()) == []


async def test_temporal_takes_a_workflow_with_our_search_attributes_as_soon_as_it_is_ready(
    stack: EmbeddedStack,
) -> None:
    assert stack.endpoints.temporal_address is not None
    client = await Client.connect(stack.endpoints.temporal_address)
    pairs = [SearchAttributePair(SearchAttributeKey.for_keyword(name), "x") for name in SEARCH_ATTRIBUTES]
    handle = await client.start_workflow(
        "Unserved", id=f"w-{uuid.uuid4()}", task_queue="nobody", search_attributes=TypedSearchAttributes(pairs)
    )
    assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING


async def test_the_temporal_web_ui_is_served(stack: EmbeddedStack) -> None:
    url = stack.endpoints.temporal_ui_url
    assert url is not None
    page = await asyncio.to_thread(lambda: urllib.request.urlopen(url).read())  # noqa: S310
    assert b"<html" in page


async def test_other_commands_find_the_running_stack(stack: EmbeddedStack, data_dir: Path) -> None:
    assert read_endpoints(data_dir) == stack.endpoints


async def test_looking_for_the_stack_does_not_disturb_its_lock(stack: EmbeddedStack, data_dir: Path) -> None:
    for _ in range(3):
        assert read_endpoints(data_dir) == stack.endpoints
    with pytest.raises(StackStartError, match="in use"):
        await EmbeddedStack(data_dir, ui_port=None, durable=False).start()


async def test_a_second_stack_on_the_same_data_is_refused_and_the_first_goes_on(
    stack: EmbeddedStack, data_dir: Path
) -> None:
    with pytest.raises(StackStartError, match=rf"in use by another alphapanda \(pid {os.getpid()}\)") as refused:
        await EmbeddedStack(data_dir, ui_port=None, durable=False).start()
    assert refused.value.component == "data_dir"
    assert "--data-dir" in refused.value.next_action
    assert await _query(stack.endpoints.database_url, "SELECT 1") == [(1,)]
    assert read_endpoints(data_dir) == stack.endpoints


async def test_the_data_directory_is_closed_to_others(stack: EmbeddedStack, data_dir: Path) -> None:
    folders = [data_dir, *(data_dir / name for name in ("postgres", "valkey", "temporal", "logs", "run"))]
    assert {folder.name: stat.S_IMODE(folder.stat().st_mode) for folder in folders} == {
        folder.name: 0o700 for folder in folders
    }
    assert stat.S_IMODE((data_dir / "run" / "stack.json").stat().st_mode) == 0o600


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_the_servers_listen_on_loopback_only(stack: EmbeddedStack) -> None:
    owned = {
        link.readlink().name
        for pid in stack.pids().values()
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if link.is_symlink()
    }
    listening = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in owned:
                listening.append(fields[1].split(":")[0])
    assert set(listening) == {"0100007F"}  # 127.0.0.1


async def test_data_survives_a_stop_and_the_ports_and_sockets_are_released(tmp_path: Path) -> None:
    async with EmbeddedStack(tmp_path, ui_port=None, durable=True) as first:
        await _query(first.endpoints.database_url, "CREATE TABLE kept AS SELECT 7 AS value")
        assert first.endpoints.temporal_address is not None
        assert first.endpoints.temporal_ui_url is None
        client = await Client.connect(first.endpoints.temporal_address)
        await client.start_workflow("Unserved", id="kept", task_queue="nobody")
        pids = first.pids()
    assert sorted(pids) == ["postgres", "temporal", "valkey"]
    assert not [pid for pid in pids.values() if Path(f"/proc/{pid}").exists()]
    assert read_endpoints(tmp_path) is None
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["lock"]

    async with EmbeddedStack(tmp_path, ui_port=None, durable=True) as second:
        assert await _query(second.endpoints.database_url, "SELECT value FROM kept") == [(7,)]
        assert second.endpoints.temporal_address is not None
        client = await Client.connect(second.endpoints.temporal_address)
        found = await client.get_workflow_handle("kept").describe()
        assert found.status is WorkflowExecutionStatus.RUNNING


async def test_a_taken_ui_port_is_named_with_the_option_and_nothing_stays_running(tmp_path: Path) -> None:
    said: list[tuple[str, str]] = []
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        stack = EmbeddedStack(
            tmp_path, ui_port=port, durable=False, on_progress=lambda part, message: said.append((part, message))
        )
        with pytest.raises(StackStartError, match=f"port {port} ") as refused:
            await stack.start()
    assert refused.value.component == "temporal"
    assert "--ui-port" in refused.value.next_action
    assert ("temporal", "starting") in said
    assert stack.pids() == {}
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["lock"]


async def test_a_server_that_refuses_to_start_is_reported_in_its_own_words(tmp_path: Path) -> None:
    async with EmbeddedStack(tmp_path, valkey=False, temporal=False, ui_port=None, durable=False):
        pass
    (tmp_path / "postgres" / "PG_VERSION").write_text("9\n")
    stack = EmbeddedStack(tmp_path, ui_port=None, durable=False)
    with pytest.raises(StackStartError, match="before it was ready") as refused:
        await stack.start()
    assert refused.value.component == "postgres"
    assert "incompatible" in refused.value.log_tail
    assert "incompatible" in str(refused.value)
    assert "postgres.log" in refused.value.next_action
    assert stack.pids() == {}


async def test_erasing_forgets_the_stored_data_and_leaves_other_files_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    only_postgres = EmbeddedStack(tmp_path, valkey=False, temporal=False, ui_port=None, durable=False)
    async with only_postgres as stack:
        await _query(stack.endpoints.database_url, "CREATE TABLE forgotten (value integer)")
        with pytest.raises(StackStartError, match="in use"):
            await erase(tmp_path)
    await erase(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["notes.txt", "run"]
    async with EmbeddedStack(tmp_path, valkey=False, temporal=False, ui_port=None, durable=False) as stack:
        assert await _query(stack.endpoints.database_url, "SELECT to_regclass('forgotten')") == [(None,)]


async def test_parts_that_live_elsewhere_are_left_out(tmp_path: Path) -> None:
    only = EmbeddedStack(tmp_path, postgres=False, temporal=False, ui_port=None, durable=False)
    async with only as stack:
        assert stack.endpoints.database_url is None
        assert stack.endpoints.temporal_address is None
        assert list(stack.pids()) == ["valkey"]


async def test_a_server_that_ends_by_itself_is_noticed(tmp_path: Path) -> None:
    only = EmbeddedStack(tmp_path, postgres=False, temporal=False, ui_port=None, durable=False)
    async with only as stack:
        os.kill(stack.pids()["valkey"], 9)
        async with asyncio.timeout(20):
            failure = await stack.until_failure()
        assert (failure.component, failure.reason) == ("valkey", "ended by itself with status -9")


async def test_a_file_in_place_of_the_data_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(StackStartError, match="data_dir") as refused:
        await EmbeddedStack(tmp_path / "data", ui_port=None, durable=False).start()
    assert "--data-dir" in refused.value.next_action


async def test_a_start_that_is_cancelled_leaves_nothing_running(tmp_path: Path) -> None:
    begun = asyncio.Event()
    stack = EmbeddedStack(
        tmp_path, ui_port=None, durable=False, on_progress=lambda part, _: begun.set() if part == "postgres" else None
    )
    starting = asyncio.create_task(stack.start())
    await begun.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert stack.pids() == {}
    async with EmbeddedStack(tmp_path, temporal=False, valkey=False, ui_port=None, durable=False) as again:
        assert await _query(again.endpoints.database_url, "SELECT 1") == [(1,)]
