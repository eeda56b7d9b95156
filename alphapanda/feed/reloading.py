"""A changed deployment file taken up by the running feed: whole and checked, or not at all.

What is the same in the new file goes on with all it knows. While the file (or a strategy's own file) breaks a rule,
the deployments that run go on, the reason is shown, and it is looked at again and again until it is sound.
"""

import asyncio
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

import structlog

from alphapanda.strategies.deployment import Deployment
from alphapanda.strategies.errors import StrategyError

_log = structlog.get_logger(__name__)

Load = Callable[[], tuple[Deployment, ...]]


class Reloaded(Protocol):
    """Whoever runs the deployments; see `FeedRunner`."""

    def reload(self, deployments: Iterable[Deployment]) -> None: ...
    def refuse_reload(self, reason: str) -> None: ...


class DeploymentWatch:
    """Tells when the deployments on disk are no longer those that run. `load` reads them, as at the start."""

    def __init__(self, path: Path, load: Load, running: tuple[Deployment, ...]) -> None:
        self._path = path
        self._load = load
        self._running = running
        self._unsound = False
        self._seen = self._signature()

    def look(self) -> tuple[Deployment, ...] | None:
        """What is to run from now on; None where nothing has changed. Raises StrategyError as long as it is unsound."""
        before, self._seen = self._seen, self._signature()
        was_unsound = self._unsound
        if self._seen == before and not was_unsound:
            return None
        self._unsound = True
        wanted = self._load()
        self._unsound = False
        if wanted == self._running and not was_unsound:
            return None
        self._running = wanted
        # Files of strategies that are new are watched from here on; a change during the loading shows next time.
        stamps = dict(self._seen)
        self._seen = tuple((file, stamps.get(file, stamp)) for file, stamp in self._signature())
        return wanted

    def _signature(self) -> tuple[tuple[str, tuple[int, int]], ...]:
        """Of the file, and of the files that running strategies were loaded from."""
        modules = (sys.modules.get(deployment.strategy.__module__) for deployment in self._running)
        files = {str(self._path), *(str(file) for module in modules if (file := getattr(module, "__file__", None)))}
        return tuple((file, _stamp(Path(file))) for file in sorted(files))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return (0, 0)  # an editor that replaces the file leaves a moment without one
    return (status.st_mtime_ns, status.st_size)


async def keep_reloaded(watch: DeploymentWatch, runner: Reloaded, *, every_s: float = 2.0) -> None:
    """Look every `every_s` and hand changes to the runner, until cancelled."""
    told = ""
    while True:
        await asyncio.sleep(every_s)
        try:
            wanted = watch.look()
        except StrategyError as error:
            if str(error) != told:
                told = str(error)
                _log.error("the changed deployments are refused, those that run go on", error=told)
                runner.refuse_reload(told)
        else:
            if wanted is not None:
                told = ""
                runner.reload(wanted)
                _log.info("the deployments are reloaded", strategies=[item.strategy_id for item in wanted])
