"""A running simulator and Zerodha's own, unmodified client of it."""

from collections.abc import AsyncIterator

import pytest

from alphapanda.kitesim.server import KiteSim
from alphapanda.kitesim.settings import SimHolding, SimSettings
from tests.integration.kitesim.clients import Client

FREE = SimSettings(
    enforce_limits=False, holdings=(SimHolding(tradingsymbol="SBIN", quantity=100, average_price=800),)
)  # fmt: skip


@pytest.fixture
async def sim() -> AsyncIterator[KiteSim]:
    """Without limits, INFY at 1500."""
    async with KiteSim(FREE) as running:
        await running.set_price("NSE", "INFY", 1500)
        yield running


@pytest.fixture
def client(sim: KiteSim) -> Client:
    return Client.of(sim)
