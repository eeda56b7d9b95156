"""The API behind a real HTTP server on a free port, on the real servers."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import uvicorn
from sqlalchemy import text
from sqlalchemy.engine.url import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from alphapanda.settings import Settings
from alphapanda.stack import StackEndpoints
from api.__main__ import bind
from api.app import create_app

TOKEN = "a-token-for-tests-only"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@contextlib.asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client, with the token, of the app served over HTTP."""
    config = uvicorn.Config(create_app(settings), log_config=None, access_log=False, timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    listening = bind("127.0.0.1", 0)
    running = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        while not server.started:
            if running.done():
                running.result()
            await asyncio.sleep(0.01)
        base = f"http://127.0.0.1:{listening.getsockname()[1]}"
        async with httpx.AsyncClient(base_url=base, headers=HEADERS, timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        await running
        listening.close()


def settings_on(stack: StackEndpoints, ledger_url: str, data_dir: Path, **others: Any) -> Settings:
    return Settings.load(
        _env_file=None,
        **{
            "database": {"url": ledger_url},
            "redis": {"url": stack.redis_url},
            "temporal": {"address": stack.temporal_address},
            "data_dir": data_dir,
            "api": {"admin_token": TOKEN},
            **others,
        },
    )


@pytest.fixture
def api_settings(stack_endpoints: StackEndpoints, ledger_url: str, tmp_path: Path) -> Settings:
    """Real settings on the test's own ledger."""
    return settings_on(stack_endpoints, ledger_url, tmp_path)


@pytest.fixture
async def api(api_settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(api_settings) as client:
        yield client


@pytest.fixture(scope="package")
async def shared_api(
    stack_endpoints: StackEndpoints, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    """One server on an empty ledger of its own, for tests that store nothing."""
    assert stack_endpoints.database_url is not None
    name = f"shared_{uuid4().hex}"
    admin = create_async_engine(stack_endpoints.database_url, isolation_level="AUTOCOMMIT")
    async with admin.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template_database}"))
    await admin.dispose()
    url = make_url(stack_endpoints.database_url).set(database=name).render_as_string(hide_password=False)
    async with serving(settings_on(stack_endpoints, url, tmp_path_factory.mktemp("shared-api"))) as client:
        yield client
