"""Postbacks: order updates sent to the app's own address, once each, whatever it answers."""

import asyncio
from collections import Counter

import httpx

from alphapanda.kitesim.account import Account
from alphapanda.kitesim.book import UPDATE, Event
from alphapanda.kitesim.faults import Fault
from alphapanda.kitesim.mischief import Mischief
from alphapanda.kitesim.orders import Status
from alphapanda.kitesim.rows import postback_row

_TIMEOUT_S = 5.0
_POSTED = frozenset({Status.COMPLETE.value, Status.CANCELLED.value, Status.REJECTED.value, UPDATE})


class Postbacks:
    """Sent one after the other while `run()` runs. `sent` counts answers by status, and `failed`."""

    def __init__(self, account: Account, url: str) -> None:
        self._settings = account.settings
        self._url = url
        self._queue: asyncio.Queue[Event] = asyncio.Queue()
        self._mischief = Mischief(
            account.faults,
            (Fault.POSTBACK_LOST, Fault.POSTBACK_DUPLICATED, Fault.POSTBACK_REORDERED),
            self._queue.put_nowait,
        )
        self.sent: Counter[str] = Counter()

    def publish(self, event: Event) -> None:
        if event.status in _POSTED and event.order.is_of_app:
            self._mischief.pass_on(event)

    async def run(self) -> None:
        """Until cancelled."""
        async with httpx.AsyncClient(timeout=_TIMEOUT_S) as client:
            while True:
                event = await self._queue.get()
                try:
                    answer = await client.post(self._url, json=postback_row(event, self._settings))
                    self.sent[str(answer.status_code)] += 1
                except httpx.HTTPError:
                    self.sent["failed"] += 1
