"""Several children, kept alive together and stopped in the order their owner wants."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from alphapanda.running.children import Backoff, Child, Notify, SupervisedChild


class Supervisor:
    """`async with Supervisor(children, notify=…) as supervisor:` starts them; leaving it stops what still runs."""

    def __init__(self, children: Sequence[Child], *, notify: Notify, backoff: Backoff | None = None) -> None:
        chosen = backoff or Backoff()
        self._children = [SupervisedChild(child, chosen, notify) for child in children]
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        for each in self._children:
            self._tasks[each.child.name] = asyncio.create_task(each.run(), name=f"child {each.child.name}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def until_all_finished(self) -> None:
        """Returns when no child is left to keep alive: each has finished, or was stopped."""
        await asyncio.gather(*(asyncio.shield(task) for task in self._tasks.values()))

    async def stop(self, *names: str) -> None:
        """SIGTERM to the named children (none named: all), at once; waits until each has drained or was killed."""
        chosen = [each for each in self._children if not names or each.child.name in names]
        for each in chosen:
            each.stop()
        tasks = [self._tasks[each.child.name] for each in chosen if each.child.name in self._tasks]
        await asyncio.gather(*tasks)

    def crash(self, name: str) -> bool:
        """SIGKILL to a child, which is then started again as after any death. False where it does not run now."""
        return any(each.crash() for each in self._children if each.child.name == name)

    def kill(self) -> None:
        """No more draining: everything ends now. `stop` then returns at once."""
        for each in self._children:
            each.kill()
