"""uvicorn, in somebody else's event loop, with the connection itself in reach of the application."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from alphapanda.domain.errors import AlphaPandaError
from alphapanda.kitesim.http import TRANSPORT

HOST = "127.0.0.1"
_GRACE_S = 1


class SimPortError(AlphaPandaError):
    """The port is taken."""

    code = "KITE_SIM_PORT"
    default_next_action = "Stop what uses it, or choose another --port (0 takes any free one)."


class _Protocol(H11Protocol):
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # uvicorn copies this into the scope of every request, and of the WebSocket a request becomes.
        self.app_state = {**self.app_state, TRANSPORT: transport}
        super().connection_made(transport)


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the process's own business."""
        yield


def bind(port: int) -> socket.socket:
    """A loopback socket. Raises SimPortError."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((HOST, port))
    except OSError as error:
        bound.close()
        raise SimPortError(f"the simulator cannot listen on {HOST}:{port}") from error
    return bound


def server_of(app: Any) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="websockets-sansio",
        ws_ping_interval=None,  # Kite sends heartbeats of its own; a mute socket must stay mute
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=60,
        timeout_graceful_shutdown=_GRACE_S,
    )
    return _Server(config)
