"""What every workflow test ends with: its ledger is audited, and the transitions it claims to exercise were taken."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from redis.asyncio import Redis
from temporalio.client import Client
from temporalio.testing import TimeSkipper, TimeSkippingConfig

from alphapanda.ledger.engine import LedgerEngine
from alphapanda.settings import Settings
from tests.rehearsal import Rehearsal, rehearse
from tests.workflow.audit import audit, transitions_taken
from tests.workflow.support import claimed

Rehearse = Callable[..., AbstractAsyncContextManager[Rehearsal]]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", 'exercises("A > B", …): transitions of the order\'s table that this test takes; held to it.'
    )
    # The finalizer of a dropped Redis client imports on whichever thread collects it, a workflow's included.
    for package in ("redis", "hiredis", "cryptography", "opentelemetry"):
        config.addinivalue_line("filterwarnings", f"ignore:Module {package}.* was imported after initial workflow load")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-histories", action="store_true", help="Write tests/workflow/histories/ anew.")


@pytest.fixture
async def ledger_engine(ledger_engine: LedgerEngine, request: pytest.FixtureRequest) -> AsyncIterator[LedgerEngine]:
    """The ledger, audited once the desk has stopped."""
    yield ledger_engine
    await audit(ledger_engine)
    missing = claimed(request.node.iter_markers("exercises")) - await transitions_taken(ledger_engine)
    assert not missing, f"the test claims transitions it did not take: {sorted(missing)}"


@pytest.fixture
def rehearse_with(ledger_engine: LedgerEngine, redis: "Redis", temporal: Client) -> Rehearse:
    """`rehearse_with(orders={…}, risk={…})`: a desk with settings of its own; `skip=True`: its workflows skip waits."""

    def build(*, broker_worker: bool = True, skip: bool = False, **groups: Any) -> Any:
        client = temporal
        if skip:
            client = TimeSkipper(temporal, config=TimeSkippingConfig(max_session_skip_count=5000)).client
        settings = Settings.load(_env_file=None, **groups)
        return rehearse(settings, ledger_engine, redis, client, broker_worker=broker_worker)

    return build
