"""Ending tasks for certain."""

import asyncio

from alphapanda.feed.cancelling import cancel_and_wait


async def test_a_task_that_drops_a_cancellation_is_asked_again() -> None:
    dropped = 0

    async def stubborn() -> None:
        nonlocal dropped
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if dropped == 2:
                    raise
                dropped += 1

    task = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await cancel_and_wait({task})
    assert task.cancelled()
    assert dropped == 2


async def test_tasks_that_are_done_are_left_alone() -> None:
    async def fails() -> None:
        raise ValueError("on purpose")

    task = asyncio.create_task(fails())
    await asyncio.wait({task})
    await cancel_and_wait({task})
    await cancel_and_wait(())
    assert isinstance(task.exception(), ValueError)
