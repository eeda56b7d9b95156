"""Heartbeats of a long call, so that a killed worker is noticed in seconds instead of at the call's time-out."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from temporalio import activity

HEARTBEAT_INTERVAL_S = 1.5


@asynccontextmanager
async def heartbeats() -> AsyncIterator[None]:
    """Beat while the body runs. A short call ends before the first beat and pays nothing for it."""
    beating = asyncio.create_task(_beat())
    try:
        yield
    finally:
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating


async def _beat() -> None:
    while True:
        await asyncio.sleep(HEARTBEAT_INTERVAL_S)
        activity.heartbeat()
