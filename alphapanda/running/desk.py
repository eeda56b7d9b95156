"""The whole desk on one machine: embedded servers, migrations, API, workers, feed; started, watched, stopped.

The order down is feed, API, workers (drained), the simulated broker, servers: nobody loses what it still needs.
"""

import asyncio
import contextlib
import importlib
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from alphapanda.credentials import admin_token
from alphapanda.domain.errors import AlphaPandaError
from alphapanda.endpoints import resolve_endpoints
from alphapanda.running.children import Child, Notice, Turn
from alphapanda.running.logfiles import LogFollower, last_lines
from alphapanda.running.ports import require_port
from alphapanda.running.roles import WorkerRole, api_child, worker_children
from alphapanda.running.simulated import simulator_child, simulator_url
from alphapanda.running.supervisor import Supervisor
from alphapanda.running.whereabouts import remove_api_url, url_of, write_api_url
from alphapanda.settings import Settings
from alphapanda.stack import EmbeddedStack, StackStartError

_READY_WITHIN_S = 90.0
_POLL_S = 0.1
_ECHO_EVERY_S = 0.5
_TELLING_LINES = 8
_DEATHS_AT_START = 3
_DRAIN_WITHOUT_SERVERS_S = 5.0
_LOADED_MEANWHILE = ("sqlalchemy.ext.asyncio", "asyncpg", "alembic.command", "alphapanda.ledger.migrate", "httpx")


class DeskStartError(AlphaPandaError):
    """A process of the desk did not come up."""

    code = "DESK_START_FAILED"
    default_next_action = "Read the named log."


class Screen(Protocol):
    """Where the desk tells a person what it does."""

    def part(self, name: str, message: str) -> None: ...
    def waiting_for(self, parts: list[str]) -> None: ...
    def notice(self, notice: Notice) -> None: ...
    def log_lines(self, name: str, lines: list[str]) -> None: ...


@dataclass(frozen=True)
class Whereabouts:
    api_url: str
    temporal_ui_url: str | None
    simulator_url: str | None = None


class Desk:
    """`start`, `until_failure`, `stop`. The API's port must be in the settings as it is handed to the children (not 0).

    `ui_port`: of Temporal's web UI, 0 for any free one; unused where Temporal is not embedded. `simulator_port`: of
    the Kite simulator, where one plays Zerodha; the settings must point there.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        with_feed: bool,
        ui_port: int,
        screen: Screen,
        simulator_port: int | None = None,
    ) -> None:
        self._settings = settings
        self._with_feed = with_feed
        self._ui_port = ui_port
        self._simulator_port = simulator_port
        self._screen = screen
        self._stack: EmbeddedStack | None = None
        self._supervisor: Supervisor | None = None
        self._echo: asyncio.Task[None] | None = None
        self._workers: tuple[str, ...] = ()
        self._deaths: dict[str, int] = {}
        self._is_ready = False
        self._owns_data_dir = False

    async def start(self) -> Whereabouts:
        """Returns when an order can be taken. Raises AlphaPandaError; `stop` releases what was opened, in any case."""
        settings = self._settings
        temporal_is_ours = settings.temporal.address is None
        require_port(settings.api.host, settings.api.port, purpose="the API", option="--port")
        if temporal_is_ours:
            require_port("127.0.0.1", self._ui_port, purpose="Temporal's web UI", option="--ui-port")
        token = admin_token(settings)
        stack = self._stack = EmbeddedStack(
            settings.data_dir,
            postgres=settings.database.url is None,
            valkey=settings.redis.url is None,
            temporal=temporal_is_ours,
            ui_port=self._ui_port,
            durable=set(settings.active_brokers) != {"paper"},
            on_progress=self._screen.part,
        )
        loading = asyncio.create_task(_load_meanwhile())
        try:
            await stack.start()
            self._owns_data_dir = True
            await loading
        finally:
            loading.cancel()
        remove_api_url(settings.data_dir)  # a desk that was killed could not
        endpoints = resolve_endpoints(settings)
        await self._timed("migrations", self._migrate(endpoints.database_url))
        await self._start_children()
        url = url_of(settings.api.host, settings.api.port)
        write_api_url(settings.data_dir, url)
        await self._timed("processes", self._until_ready(url, token))
        self._is_ready = True
        simulator = None if self._simulator_port is None else simulator_url(self._simulator_port)
        return Whereabouts(url, endpoints.temporal_ui_url, simulator)

    async def until_failure(self) -> StackStartError:
        """Waits until a server ends by itself. The other processes are started again when they die."""
        if self._stack is None:
            raise RuntimeError("the desk was not started")
        return await self._stack.until_failure()

    async def stop(self, *, servers_are_gone: bool = False) -> None:
        """Safe to repeat, and after a start that failed."""
        supervisor = self._supervisor
        if supervisor is not None:
            if servers_are_gone:  # what waits for a server that is gone drains for ever
                asyncio.get_running_loop().call_later(_DRAIN_WITHOUT_SERVERS_S, supervisor.kill)
            for names in (("feed",), ("api",), self._workers, ()):
                await supervisor.stop(*names)
            self._supervisor = None
        if self._echo is not None:
            self._echo.cancel()
            await asyncio.gather(self._echo, return_exceptions=True)
            self._echo = None
        if self._owns_data_dir:
            remove_api_url(self._settings.data_dir)
        if self._stack is not None:
            await self._stack.stop()
            self._stack = None

    def hurry(self) -> None:
        """End all processes but the servers this instant; `stop` then goes on at once."""
        if self._supervisor is not None:
            self._supervisor.kill()

    def crash(self, name: str) -> bool:
        """SIGKILL to one of our processes (`broker-zerodha`), to rehearse its death. False where it does not run."""
        return self._supervisor is not None and self._supervisor.crash(name)

    async def _migrate(self, database_url: str) -> None:
        from alphapanda.ledger.migrate import upgrade  # noqa: PLC0415 - loaded while the servers start

        await upgrade(database_url)

    async def _start_children(self) -> None:
        settings = self._settings
        logs = settings.data_dir / "logs"
        roles = [WorkerRole.ORDERS, WorkerRole.BROKER, *([WorkerRole.FEED] if self._with_feed else [])]
        workers = worker_children(settings, roles, settings.active_brokers, logs=logs)
        self._workers = tuple(child.name for child in workers)
        simulator = [] if self._simulator_port is None else [simulator_child(settings, self._simulator_port, logs=logs)]
        children = [*simulator, api_child(logs=logs), *workers]
        self._echo = asyncio.create_task(self._echo_logs(children), name="echo of the logs")
        self._supervisor = await Supervisor(children, notify=self._on_notice).__aenter__()

    def _on_notice(self, notice: Notice) -> None:
        if notice.turn is Turn.DIED:
            self._deaths[notice.child.name] = notice.quick_deaths
        if notice.turn is not Turn.STARTED or self._is_ready:
            self._screen.notice(notice)

    async def _until_ready(self, url: str, token: str) -> None:
        import httpx  # noqa: PLC0415 - loaded while the servers start

        from alphapanda.running.readiness import Probe  # noqa: PLC0415

        probe = Probe(url, token, self._with_feed)
        deadline = time.monotonic() + _READY_WITHIN_S
        async with httpx.AsyncClient(trust_env=False) as client:
            while missing := await probe.missing(client):
                self._refuse_the_dying()
                if time.monotonic() > deadline:
                    raise DeskStartError(
                        f"not ready within {_READY_WITHIN_S:.0f} s; still missing: {', '.join(missing)}",
                        next_action=f"Read the logs of the missing parts in {self._settings.data_dir / 'logs'}.",
                    )
                self._screen.waiting_for(missing)
                await asyncio.sleep(_POLL_S)

    def _refuse_the_dying(self) -> None:
        """A process that cannot live at all is told now, and not at the deadline."""
        for name, deaths in self._deaths.items():
            if deaths >= _DEATHS_AT_START:
                log = self._settings.data_dir / "logs" / f"{name}.log"
                said = "".join(f"\n    {line}" for line in last_lines(log, _TELLING_LINES))
                raise DeskStartError(
                    f"{name} ended {deaths} times at its start; its last words:{said}",
                    next_action=f"Correct what it says; the whole log is {log}.",
                )

    async def _echo_logs(self, children: list[Child]) -> None:
        from alphapanda.logging import level_of  # noqa: PLC0415 - after the servers were started

        followed = {child.name: LogFollower(child.log) for child in children if child.log}
        while True:
            for name, follower in followed.items():
                lines = [line for line in follower.new_lines() if level_of(line) in ("warning", "error", "critical")]
                if lines:
                    self._screen.log_lines(name, lines)
            await asyncio.sleep(_ECHO_EVERY_S)

    async def _timed(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        began = time.monotonic()
        self._screen.part(name, "starting")
        await work
        self._screen.part(name, f"ready in {time.monotonic() - began:.1f} s")


async def _load_meanwhile() -> None:
    """The slow imports, while the servers start by themselves. In this thread: a fork beside a second one is unsafe."""
    for name in _LOADED_MEANWHILE:
        await asyncio.sleep(0)
        importlib.import_module(name)


async def run_desk(desk: Desk, on_ready: Callable[[Whereabouts], None], asked_to_stop: asyncio.Event) -> None:
    """Start, say so, and run until asked to stop. Raises what ended it otherwise, with everything stopped."""
    failed = False
    try:
        starting = asyncio.create_task(desk.start())
        asked = asyncio.create_task(asked_to_stop.wait())
        await asyncio.wait((starting, asked), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await starting
            return
        on_ready(starting.result())
        failing = asyncio.create_task(desk.until_failure())
        await asyncio.wait((failing, asked), return_when=asyncio.FIRST_COMPLETED)
        if failing.done():
            failed = True
            raise failing.result()
        failing.cancel()
    finally:
        await desk.stop(servers_are_gone=failed)
