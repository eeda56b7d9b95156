"""`python -m api`: the API's process."""

import signal
import socket
import sys

import structlog
import uvicorn

from alphapanda.edge import at_the_edge
from alphapanda.logging import configure_logging
from alphapanda.settings import Settings, SettingsError
from alphapanda.stack.parent import die_with_parent
from api.app import create_app

GRACE_S = 10
"""How long open requests may take to end once the process is told to stop."""

_log = structlog.get_logger("alphapanda.api")


class Server(uvicorn.Server):
    """Says where it listens: with port 0 only the running server knows."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        for server in self.servers if self.started else ():
            for each in server.sockets:
                host, port = each.getsockname()[:2]
                _log.info("api_listening", host=host, port=port)


def bind(host: str, port: int) -> socket.socket:
    """A socket to serve on; port 0 takes any free one. Raises OSError.

    Bound here rather than by uvicorn, which answers a taken port with an exit of its own, and whose socket does not
    say that it is TCP: asyncio then leaves Nagle's algorithm on, which costs every answer 40 ms.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError:
        bound.close()
        raise
    return bound


def serve(settings: Settings) -> None:
    """Until SIGTERM or SIGINT. Raises SettingsError where it cannot listen."""
    config = uvicorn.Config(
        create_app(settings),
        host=settings.api.host,
        port=settings.api.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    try:
        listening = bind(settings.api.host, settings.api.port)
    except OSError as error:
        raise SettingsError(
            f"ALPHAPANDA_API__PORT: cannot listen on {settings.api.host}:{settings.api.port}",
            next_action="Stop what uses it, or choose another ALPHAPANDA_API__HOST or ALPHAPANDA_API__PORT (0 = any).",
        ) from error
    # uvicorn stops in order on these, then raises them again: being asked to stop is no failure.
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda _number, _frame: sys.exit(0))
    with listening:
        Server(config).run(sockets=[listening])


def main() -> int:
    die_with_parent()
    return at_the_edge(run)


def run() -> None:
    settings = Settings.load()
    configure_logging(settings, role="api")
    serve(settings)


if __name__ == "__main__":
    sys.exit(main())
