"""Signals that ask a supervising process to stop: the first orderly, the second without waiting."""

import asyncio
import signal
from collections.abc import Callable

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequest:
    """Make it inside the running loop's main thread. `asked` is set by the first signal; each further one hurries."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.signal: signal.Signals | None = None
        self._hurry: Callable[[], None] = lambda: None
        loop = asyncio.get_running_loop()
        for each in SIGNALS:
            loop.add_signal_handler(each, self._on_signal, each)

    def on_hurry(self, hurry: Callable[[], None]) -> None:
        """What a second signal does."""
        self._hurry = hurry

    def _on_signal(self, signum: signal.Signals) -> None:
        if self.asked.is_set():
            self._hurry()
        else:
            self.signal = signum
            self.asked.set()
