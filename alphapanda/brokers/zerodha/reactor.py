"""Twisted's reactor: one per process, on a daemon thread, started once and never stopped (it cannot start again)."""

import threading
from typing import Any

_lock = threading.Lock()
_START_S = 10.0


def running_reactor() -> Any:
    """The reactor, running. Blocks while it starts: to be called in a thread. Raises RuntimeError if it does not."""
    from twisted.internet import reactor  # noqa: PLC0415

    loop: Any = reactor
    with _lock:
        if not loop.running:
            started = threading.Event()
            loop.callWhenRunning(started.set)
            threading.Thread(
                target=loop.run, kwargs={"installSignalHandlers": False}, name="kite-reactor", daemon=True
            ).start()
            if not started.wait(_START_S):
                raise RuntimeError("the network thread of the order updates did not start")
    return loop
