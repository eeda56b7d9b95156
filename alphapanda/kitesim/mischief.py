"""Updates on their way to someone: lost, doubled or overtaken where a fault says so."""

import asyncio
from collections.abc import Callable

from alphapanda.kitesim.book import Event
from alphapanda.kitesim.faults import Fault, Faults

HELD_S = 1.0
"""How long an update waits at most to be overtaken."""


class Mischief:
    """`kinds`: the faults that lose, double and reorder."""

    def __init__(self, faults: Faults, kinds: tuple[Fault, Fault, Fault], deliver: Callable[[Event], None]) -> None:
        self._faults = faults
        self._lost, self._doubled, self._reordered = kinds
        self._deliver = deliver
        self._held: Event | None = None

    def pass_on(self, event: Event) -> None:
        armed = self._faults.event(self._lost, self._doubled, self._reordered, tag=event.order.tag)
        fault = armed.fault if armed is not None else None
        if fault is self._lost:
            return
        if fault is self._reordered and self._held is None:
            self._held = event
            asyncio.get_running_loop().call_later(HELD_S, self._let_go, event)
            return
        self._deliver(event)
        if fault is self._doubled:
            self._deliver(event)
        if self._held is not None:
            self._let_go(self._held)

    def _let_go(self, event: Event) -> None:
        if self._held is event:
            self._held = None
            self._deliver(event)
