"""`alphapanda up` without anything installed: Postgres, Valkey and Temporal as children of this process.

One data directory belongs to one running stack, held by a lock that the kernel releases whenever the owner ends,
so neither a crash nor a reused process id can confuse it. `<data_dir>/run/stack.json` tells other commands where
the servers are.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Protocol, Self

from alphapanda.stack.errors import StackStartError
from alphapanda.stack.folders import make_private, remove_all_short
from alphapanda.stack.postgres import PostgresServer
from alphapanda.stack.process import ServerProcess
from alphapanda.stack.temporal import TemporalServer
from alphapanda.stack.valkey import ValkeyServer

_LOCK_PATIENCE_SECONDS = 0.5  # a reader probing the lock holds it for an instant
_WATCH_SECONDS = 0.2

Progress = Callable[[str, str], None]


@dataclass(frozen=True)
class StackEndpoints:
    """Where the servers are; None for a part that is not embedded (or, for the UI, not wanted)."""

    database_url: str | None
    redis_url: str | None
    temporal_address: str | None
    temporal_ui_url: str | None


class _Server(Protocol):
    process: ServerProcess | None

    async def start(self) -> None: ...
    async def stop(self) -> None: ...


class EmbeddedStack:
    """The servers of one data directory. `async with EmbeddedStack(...) as stack:` or `start()` and `stop()`.

    Start it from the thread that lives as long as the process: on Linux the servers die with that thread.
    `on_progress(component, message)` is called as parts begin and become ready.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        postgres: bool = True,
        valkey: bool = True,
        temporal: bool = True,
        ui_port: int | None,
        durable: bool,
        on_progress: Progress | None = None,
        temporal_config: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._data_dir = data_dir.absolute()
        self._postgres = PostgresServer(self._data_dir) if postgres else None
        self._valkey = ValkeyServer(self._data_dir) if valkey else None
        self._temporal = None
        if temporal:
            self._temporal = TemporalServer(
                self._data_dir, ui_port=ui_port, durable=durable, dynamic_config=temporal_config
            )
        self._on_progress = on_progress or (lambda _component, _message: None)
        self._lock: int | None = None
        self._endpoints: StackEndpoints | None = None

    @property
    def endpoints(self) -> StackEndpoints:
        if self._endpoints is None:
            raise RuntimeError("the embedded stack has no endpoints before start()")
        return self._endpoints

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Starts all parts at once. Raises StackStartError, with everything stopped again, if one cannot run."""
        self._lock = await _take(self._data_dir)
        try:
            await self._start_servers()
            self._endpoints = StackEndpoints(
                database_url=self._postgres.url if self._postgres else None,
                redis_url=self._valkey.url if self._valkey else None,
                temporal_address=self._temporal.address if self._temporal else None,
                temporal_ui_url=self._temporal.ui_url if self._temporal else None,
            )
            _write_private(_endpoints_file(self._data_dir), {"owner_pid": os.getpid(), **asdict(self._endpoints)})
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Temporal first, which nothing needs any more; Postgres last. Safe to repeat."""
        if self._lock is None:
            return
        lock, self._lock = self._lock, None
        self._endpoints = None
        try:
            _endpoints_file(self._data_dir).unlink(missing_ok=True)
            async with contextlib.AsyncExitStack() as stopping:  # each is stopped even if another fails to
                for _, server in reversed(self._servers()):
                    stopping.push_async_callback(server.stop)
        finally:
            os.close(lock)

    async def until_failure(self) -> StackStartError:
        """Waits until a server ends by itself and returns what happened; waits for ever while all is well."""
        while True:
            for component, server in self._servers():
                process = server.process
                if process is not None and process.returncode is not None and self._endpoints is not None:
                    return StackStartError(
                        component,
                        f"ended by itself with status {process.returncode}",
                        next_action=f"Start again: the data is safe. The whole log is in {self._data_dir / 'logs'}.",
                        log_tail=process.log_tail(),
                    )
            await asyncio.sleep(_WATCH_SECONDS)

    def pids(self) -> dict[str, int]:
        """The process id of each running server, by component."""
        return {
            component: server.process.pid
            for component, server in self._servers()
            if server.process is not None and server.process.returncode is None
        }

    def _servers(self) -> list[tuple[str, _Server]]:
        """In the order in which they are to be stopped."""
        parts: list[tuple[str, _Server | None]] = [
            ("temporal", self._temporal),
            ("valkey", self._valkey),
            ("postgres", self._postgres),
        ]
        return [(component, server) for component, server in parts if server is not None]

    async def _start_servers(self) -> None:
        for name in ("logs", "run"):
            make_private(self._data_dir / name)
        _endpoints_file(self._data_dir).unlink(missing_ok=True)
        remove_all_short(self._data_dir)
        tasks = [asyncio.create_task(self._start_one(component, server)) for component, server in self._servers()]
        try:
            await _all_or_first_failure(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _start_one(self, component: str, server: _Server) -> None:
        began = time.monotonic()
        self._on_progress(component, "starting")
        try:
            await server.start()
        except PermissionError as error:
            raise _not_ours(error, component) from error
        except OSError as error:
            raise StackStartError(component, str(error), next_action="Check the disk and the path.") from error
        self._on_progress(component, f"ready in {time.monotonic() - began:.1f} s")


def read_endpoints(data_dir: Path) -> StackEndpoints | None:
    """Where the stack running on `data_dir` is; None when none is (the file of a killed one does not count)."""
    try:
        facts = json.loads(_endpoints_file(data_dir).read_text())
        with _lock_file(data_dir).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:  # the owner lives
        return StackEndpoints(**{name: facts[name] for name in StackEndpoints.__dataclass_fields__})
    except (FileNotFoundError, NotADirectoryError):
        pass
    return None


def stored(data_dir: Path) -> list[str]:
    """The folders in the data directory that `erase` would remove."""
    return [name for name in ("temporal", "valkey", "postgres", "postgres.new", "logs") if (data_dir / name).exists()]


async def erase(data_dir: Path) -> None:
    """Forgets everything the servers stored, and nothing else in the folder. Raises StackStartError while in use."""
    data_dir = data_dir.absolute()
    lock = await _take(data_dir)
    try:
        remove_all_short(data_dir)
        for name in stored(data_dir):
            await asyncio.to_thread(shutil.rmtree, data_dir / name)
    except PermissionError as error:
        raise _not_ours(error, "data_dir") from error
    finally:
        os.close(lock)


async def _all_or_first_failure(tasks: list["asyncio.Task[None]"]) -> None:
    if tasks:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()


async def _take(data_dir: Path) -> int:
    """The descriptor that holds the data directory's lock."""
    try:
        make_private(data_dir)
        make_private(data_dir / "run")
        lock = os.open(_lock_file(data_dir), os.O_RDWR | os.O_CREAT, 0o600)
    except PermissionError as error:
        raise _not_ours(error, "data_dir") from error
    except OSError as error:
        raise StackStartError(
            "data_dir", f"{data_dir} cannot be used: {error}", next_action="Choose a folder with --data-dir."
        ) from error
    deadline = time.monotonic() + _LOCK_PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                owner = os.pread(lock, 20, 0).decode() or "unknown"
                os.close(lock)
                raise StackStartError(
                    "data_dir",
                    f"{data_dir} is in use by another alphapanda (pid {owner})",
                    next_action="Stop that one first, or use another folder with --data-dir.",
                ) from None
            await asyncio.sleep(0.02)
        except BaseException:
            os.close(lock)
            raise
        else:
            os.truncate(lock, 0)
            os.pwrite(lock, str(os.getpid()).encode(), 0)
            return lock


def _not_ours(error: PermissionError, component: str) -> StackStartError:
    return StackStartError(
        component,
        f"no permission: {error.filename or error}",
        next_action="The data directory seems to belong to another user (was it made as root?): "
        "run as that user, change its owner with chown -R, or use another folder with --data-dir.",
    )


def _write_private(path: Path, facts: dict[str, object]) -> None:
    """Whole or not at all, readable by the owner only."""
    aside = path.with_suffix(".new")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(facts, file)
    aside.replace(path)


def _endpoints_file(data_dir: Path) -> Path:
    return data_dir / "run" / "stack.json"


def _lock_file(data_dir: Path) -> Path:
    return data_dir / "run" / "lock"
