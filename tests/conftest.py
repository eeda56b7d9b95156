"""Fixtures shared by all tests: the real servers, once per test process, and a fresh database per test."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
from redis.asyncio import Redis
from sqlalchemy import text
from sqlalchemy.engine.url import make_url
from sqlalchemy.ext.asyncio import create_async_engine
from temporalio.client import Client
from temporalio.testing import TimeSkipper, TimeSkippingConfig

from alphapanda.ledger.engine import LedgerEngine, create_ledger_engine
from alphapanda.ledger.migrate import upgrade
from alphapanda.settings import Settings
from alphapanda.stack import EmbeddedStack, StackEndpoints
from tests.rehearsal import Rehearsal, rehearse
from workflows.runtime import plugin

SHARED = Path(__file__).resolve().parents[2] / "shared"
"""Reference data beside the project; tests that use it skip where it is absent."""


@pytest.fixture(scope="session")
async def stack_endpoints(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StackEndpoints]:
    """Postgres, Valkey and Temporal of this test process, on their own data directory and ports."""
    skipping = {"frontend.WorkflowTimeSkippingEnabled": "true"}
    folder = tmp_path_factory.mktemp("stack")
    async with EmbeddedStack(folder, ui_port=None, durable=False, temporal_config=skipping) as stack:
        yield stack.endpoints


@pytest.fixture(scope="session")
async def template_database(stack_endpoints: StackEndpoints) -> str:
    """A migrated database, cloned by `ledger_url`: 30 ms instead of a migration per test."""
    assert stack_endpoints.database_url is not None
    name = "template_ledger"
    await _admin(stack_endpoints.database_url, f"CREATE DATABASE {name}")
    url = make_url(stack_endpoints.database_url).set(database=name)
    await upgrade(url.render_as_string(hide_password=False))
    return name


@pytest.fixture
async def ledger_url(stack_endpoints: StackEndpoints, template_database: str) -> AsyncIterator[str]:
    """The URL of a fresh ledger database, dropped afterwards."""
    assert stack_endpoints.database_url is not None
    name = f"ledger_{uuid4().hex}"
    await _admin(stack_endpoints.database_url, f"CREATE DATABASE {name} TEMPLATE {template_database}")
    url = make_url(stack_endpoints.database_url).set(database=name)
    yield url.render_as_string(hide_password=False)
    await _admin(stack_endpoints.database_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def ledger_engine(ledger_url: str) -> AsyncIterator[LedgerEngine]:
    engine = create_ledger_engine(ledger_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def redis(stack_endpoints: StackEndpoints) -> AsyncIterator["Redis"]:
    """A client on an empty Valkey."""
    assert stack_endpoints.redis_url is not None
    client = Redis.from_url(stack_endpoints.redis_url)
    await client.flushall()
    yield client
    await client.aclose()


@pytest.fixture
def settings() -> Settings:
    """Real settings as a rehearsal has them, whatever the machine's environment says."""
    return Settings.load(_env_file=None)


@pytest.fixture(scope="session")
async def temporal(stack_endpoints: StackEndpoints) -> Client:
    """A client as the product makes it, with workflows in the sandbox."""
    assert stack_endpoints.temporal_address is not None
    return await Client.connect(stack_endpoints.temporal_address, plugins=[plugin(sandboxed=True)])


@pytest.fixture
async def rehearsal(
    settings: Settings, ledger_engine: LedgerEngine, redis: "Redis", temporal: Client
) -> AsyncIterator[Rehearsal]:
    """A running desk in real time."""
    async with rehearse(settings, ledger_engine, redis, temporal) as running:
        yield running


@pytest.fixture
async def skipped(
    settings: Settings, ledger_engine: LedgerEngine, redis: "Redis", temporal: Client
) -> AsyncIterator[Rehearsal]:
    """A running desk whose workflows skip over their waits: minutes pass as soon as an order idles."""
    skipper = TimeSkipper(temporal, config=TimeSkippingConfig(max_session_skip_count=5000))
    async with rehearse(settings, ledger_engine, redis, skipper.client) as running:
        yield running


_admin_turn = asyncio.Lock()  # CREATE DATABASE … TEMPLATE refuses to run beside another of the same template


async def _admin(url: str, statement: str) -> None:
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    async with _admin_turn, engine.connect() as connection:
        await connection.execute(text(statement))
    await engine.dispose()
