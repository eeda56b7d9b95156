"""Ending tasks for certain.

One `cancel()` is not enough: in Python 3.11 `asyncio.wait_for` drops a cancellation that arrives in the very step its
work completes, and the Redis client sends every command through it. A task then simply goes on.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

_ASK_AGAIN_S = 0.1


async def cancel_and_wait(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel until every task is done; their outcomes are left for the caller to read."""
    unfinished = {task for task in tasks if not task.done()}
    while unfinished:
        for task in unfinished:
            task.cancel()
        _, unfinished = await asyncio.wait(unfinished, timeout=_ASK_AGAIN_S)
