"""The embedded Postgres: the ledger's store. Small, and durable: what it acknowledged survives any crash."""

import shutil
import signal
from pathlib import Path

from alphapanda.stack.folders import ServerUser, make_private, make_short, remove_short
from alphapanda.stack.postgres_files import (
    COMPONENT,
    clear_stale_pid,
    data_argument,
    forget_programs,
    is_ready,
    programs,
    server_user,
)
from alphapanda.stack.process import Command, ServerProcess, run_to_end

_DATABASE = "alphapanda"
_ROLE = "alphapanda"
_START_SECONDS = 60.0  # crash recovery replays at most max_wal_size

# Given on the command line and not in postgresql.conf, so that a data directory made by an older release has them.
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "io_method": "sync",  # no pool of I/O processes for a store that fits in memory
    "max_parallel_workers_per_gather": "0",  # containers give /dev/shm 64 MB
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}


class PostgresServer:
    """A Postgres on a Unix socket only, with a database `alphapanda`, owned by an unprivileged account."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._data = data_dir / COMPONENT
        self._log = data_dir / "logs" / "postgres.log"
        self._socket_folder: Path | None = None
        self.process: ServerProcess | None = None

    @property
    def url(self) -> str:
        """For SQLAlchemy with asyncpg."""
        if self._socket_folder is None:
            raise RuntimeError("postgres has no address before start()")
        return f"postgresql+asyncpg://{_ROLE}@/{_DATABASE}?host={self._socket_folder}"

    async def start(self) -> None:
        """Raises StackStartError."""
        user = server_user(self._data)
        folder = await programs(self._data_dir, user)
        if not (self._data / "PG_VERSION").exists():
            await self._initialise(folder, user)
        await clear_stale_pid(self._data)
        self._socket_folder = make_short(self._data_dir, COMPONENT, owner=user)
        settings = {**_SETTINGS, "unix_socket_directories": str(self._socket_folder)}
        argv: list[str | Path] = [folder / "postgres", "-D", data_argument(self._data, user)]
        argv += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        # SIGQUIT is "immediate shutdown": the one signal on which it also takes its own children along.
        command = Command(COMPONENT, argv, self._data, self._log, user, death_signal=signal.SIGQUIT)
        process = self.process = ServerProcess(command)

        async def ready() -> bool:
            return is_ready(self._data, process.pid)

        await process.until_ready(ready, deadline_seconds=_START_SECONDS)

    async def stop(self) -> None:
        """Fast shutdown: sessions are cut, a checkpoint is written. Safe to repeat, and after a failed start."""
        if self.process is not None:
            await self.process.stop(signal.SIGINT, grace_seconds=15.0)
        remove_short(self._data_dir, COMPONENT)
        forget_programs(self._data_dir)

    async def _initialise(self, folder: Path, user: ServerUser | None) -> None:
        """Made aside and moved into place when whole, so that a crash leaves nothing half-made behind.

        Unlike usual for throw-away servers, initdb syncs to disk: the ledger starts to count a second later.
        """
        aside = self._data.with_name("postgres.new")
        if aside.exists():
            shutil.rmtree(aside)
        make_private(aside, user)
        at = ["-D", data_argument(aside, user)]
        options = ["-U", _ROLE, "-A", "trust", "--encoding=UTF8", "--locale=C"]
        initdb: list[str | Path] = [folder / "initdb", *at, *options]
        await run_to_end(Command(COMPONENT, initdb, aside, self._log, user))
        single: list[str | Path] = [folder / "postgres", "--single", *at, "postgres"]
        create = f"CREATE DATABASE {_DATABASE}\n".encode()
        await run_to_end(Command(COMPONENT, single, aside, self._log, user), stdin=create)
        if self._data.exists():
            self._data.rmdir()
        aside.rename(self._data)
