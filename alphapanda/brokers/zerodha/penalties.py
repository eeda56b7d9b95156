"""How long to hold still after a 429: longer each time that it was not long enough."""

_FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 8.0
"""Of our own accord; what the broker asks for is kept whole. Exits hold still as well, so it is not long."""


class Penalties:
    """The 429s of one kind of calls. Times are of one monotonic clock, in seconds.

    Calls that were on their way together are refused together, and count as one. Only a call that was sent after the
    pause tells whether the pause was enough.
    """

    def __init__(self) -> None:
        self._next_s = _FIRST_PAUSE_S
        self._pause_s = 0.0
        self._until = 0.0

    def refused(self, *, sent_at: float, at: float, asked_s: float) -> float:
        """The seconds from `at` in which nobody is to call; the broker asks for `asked_s`."""
        if sent_at >= self._until:
            self._pause_s, self._next_s = self._next_s, min(self._next_s * 2, LONGEST_PAUSE_S)
        pause_s = max(asked_s, self._pause_s)
        self._until = max(self._until, at + pause_s)
        return pause_s

    def answered(self, *, sent_at: float) -> None:
        """A call that was sent then was let through."""
        if sent_at >= self._until:
            self._next_s = _FIRST_PAUSE_S
