"""Ports, looked at before anything is started."""

import socket

from alphapanda.domain.errors import AlphaPandaError


class PortTaken(AlphaPandaError):  # noqa: N818 - named for the condition
    """A port that is needed cannot be had."""

    code = "PORT_TAKEN"
    default_next_action = "Free the port, or choose another one."


def require_port(host: str, port: int, *, purpose: str, option: str) -> int:
    """The port if it can be listened on; for 0 a free one. Raises PortTaken naming port and option."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT is not "taken"
        try:
            probe.bind((host, port))
            # Binding alone succeeds beside a server that allows it; only one can listen.
            probe.listen()
        except (OSError, OverflowError) as error:
            raise PortTaken(
                f"port {port} for {purpose} cannot be used on {host}: {getattr(error, 'strerror', None) or error}",
                next_action=f"Stop what uses it, or choose another port with {option} (0 = any free one).",
            ) from error
        return int(probe.getsockname()[1])
