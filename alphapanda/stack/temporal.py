"""The embedded Temporal: the CLI's development server with a SQLite file, tuned.

Untuned it reads its task queues at most 20 times a second, which costs 50 ms per workflow task, and fires timers
up to a second late. The settings below remove both; their effect is recorded in docs/performance.md.
"""

import asyncio
import contextlib
import shutil
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from alphapanda.stack.errors import StackStartError
from alphapanda.stack.folders import make_private
from alphapanda.stack.process import Command, ServerProcess

_COMPONENT = "temporal"
_HOST = "127.0.0.1"
_START_SECONDS = 30.0
_PORT_ATTEMPTS = 3

SEARCH_ATTRIBUTES = ("Broker", "Strategy", "Instrument", "OrderState", "Side")
"""Registered as Keyword: an order is found by them in the web UI."""

_DYNAMIC_CONFIG = {
    "history.transferProcessorMaxPollRPS": "2000",
    "history.timerProcessorMaxPollRPS": "2000",
    "history.visibilityProcessorMaxPollRPS": "2000",
    "history.outboundProcessorMaxPollRPS": "2000",
    "history.timerProcessorMaxTimeShift": '"10ms"',
    "matching.numTaskqueueReadPartitions": "1",
    "matching.numTaskqueueWritePartitions": "1",
    "matching.enableFairness": "true",
    "frontend.enableCancelWorkerPollsOnShutdown": "true",
}


class TemporalServer:
    """A Temporal development server on loopback.

    `ui_port`: None = no web UI, 0 = a free port, else that port. `durable`: every commit reaches the disk before it
    is acknowledged, for live money; otherwise a power cut (not a crash) may lose the last moments of paper trading.
    `dynamic_config` adds to the tuned settings: values as JSON, names as Temporal documents them.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        ui_port: int | None,
        durable: bool,
        dynamic_config: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._data_dir = data_dir
        self._wanted_ui_port = ui_port
        self._durable = durable
        self._dynamic_config = {**_DYNAMIC_CONFIG, **dynamic_config}
        self._port: int | None = None
        self._ui_port: int | None = None
        self.process: ServerProcess | None = None

    @property
    def address(self) -> str:
        """`host:port` of the gRPC frontend."""
        if self._port is None:
            raise RuntimeError("temporal has no address before start()")
        return f"{_HOST}:{self._port}"

    @property
    def ui_url(self) -> str | None:
        return f"http://{_HOST}:{self._ui_port}" if self._ui_port else None

    async def start(self) -> None:
        """Raises StackStartError, also when the wanted `ui_port` is taken."""
        folder = make_private(self._data_dir / "temporal")
        for attempt in range(1, _PORT_ATTEMPTS + 1):
            self._check_ui_port()
            try:
                await self._start_once(folder)
            except StackStartError as error:
                # It opens several ports that were free a moment ago; another process may have been quicker.
                if "address already in use" not in error.log_tail or attempt == _PORT_ATTEMPTS:
                    raise
            else:
                return

    async def stop(self) -> None:
        """Safe to repeat, and after a start that failed."""
        if self.process is not None:
            await self.process.stop()

    def _check_ui_port(self) -> None:
        port = self._wanted_ui_port
        if not port:
            return
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT is not "taken"
            try:
                probe.bind((_HOST, port))
            except (OSError, OverflowError) as error:
                raise StackStartError(
                    _COMPONENT,
                    f"port {port} for the Temporal web UI cannot be used: {error}",
                    next_action="Free the port, or choose another with --ui-port.",
                ) from error

    async def _start_once(self, folder: Path) -> None:
        ports = _free_ports(3)
        self._port, http_port = ports[0], ports[1]
        self._ui_port = None if self._wanted_ui_port is None else self._wanted_ui_port or ports[2]
        argv = self._argv(folder, self._port, http_port)
        log = self._data_dir / "logs" / "temporal.log"
        process = self.process = ServerProcess(Command(_COMPONENT, argv, cwd=folder, log=log))
        ui_port = self._ui_port

        # The HTTP side answers from within the server, which may be a moment before the gRPC port listens.
        listening = [each for each in (self._port, ui_port) if each is not None]

        async def is_ready() -> bool:
            return await _knows_search_attributes(http_port) and all([await _listens(each) for each in listening])

        await process.until_ready(is_ready, deadline_seconds=_START_SECONDS)

    def _argv(self, folder: Path, port: int, http_port: int) -> list[str]:
        argv = [str(_program()), "server", "start-dev", "--log-level", "warn", "--color", "never"]
        argv += ["--ip", _HOST, "--port", str(port), "--http-port", str(http_port)]
        argv += ["--db-filename", str(folder / "temporal.db")]
        argv += ["--sqlite-pragma", "journal_mode=WAL"]
        argv += ["--sqlite-pragma", f"synchronous={'FULL' if self._durable else 'NORMAL'}"]
        if self._ui_port is None:
            argv += ["--headless"]
        else:
            argv += ["--ui-port", str(self._ui_port), "--ui-disable-news-fetch"]
        for key, value in self._dynamic_config.items():
            argv += ["--dynamic-config-value", f"{key}={value}"]
        for name in SEARCH_ATTRIBUTES:
            argv += ["--search-attribute", f"{name}=Keyword"]
        return argv


async def _knows_search_attributes(http_port: int) -> bool:
    """The last thing the server sets up. Plain HTTP: no SDK in here, and no proxy between us and loopback."""
    path = "/api/v1/namespaces/default/search-attributes"
    reader, writer = await asyncio.open_connection(_HOST, http_port)
    try:
        writer.write(f"GET {path} HTTP/1.0\r\nHost: {_HOST}\r\n\r\n".encode())
        reply = await reader.read()
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return b" 200 " in reply.split(b"\r\n", 1)[0] and all(f'"{name}"'.encode() in reply for name in SEARCH_ATTRIBUTES)


async def _listens(port: int) -> bool:
    _, writer = await asyncio.open_connection(_HOST, port)
    writer.close()
    return True


def _free_ports(count: int) -> list[int]:
    # Held open together, so that they differ from each other.
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((_HOST, 0))
        return [int(each.getsockname()[1]) for each in sockets]


def _program() -> Path:
    beside_python = Path(sys.executable).with_name("temporal")  # where its wheel puts it
    found = str(beside_python) if beside_python.exists() else shutil.which("temporal")
    if found is None:
        raise StackStartError(
            _COMPONENT,
            "the Temporal CLI is not installed",
            next_action="Run `make setup`, or point ALPHAPANDA_TEMPORAL__ADDRESS at a server of your own.",
        )
    return Path(found)
