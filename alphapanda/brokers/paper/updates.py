"""Order updates on their way out: one at a time, the latest state of each order, apart from matching."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog

from alphapanda.brokers.paper.records import PaperOrder, PaperTrade
from alphapanda.brokers.paper.reports import order_report
from alphapanda.domain.execution import OrderReport

_log = structlog.get_logger(__name__)


class Updates:
    """Sends each changed order's report to `on_update` while `run()` runs; a slow receiver gets fewer, newer ones.

    `read` gives an order's report with all its trades, for an order whose earlier trades are not at hand.
    """

    def __init__(
        self,
        on_update: Callable[[OrderReport], Awaitable[None]],
        read: Callable[[str], Awaitable[OrderReport | None]],
        now: Callable[[], datetime],
    ) -> None:
        self._on_update = on_update
        self._read = read
        self._now = now
        self._pending: dict[str, tuple[PaperOrder, tuple[PaperTrade, ...]]] = {}
        self._wake = asyncio.Event()

    def put(self, order: PaperOrder, trades: tuple[PaperTrade, ...]) -> None:
        """Queue the order's new state and the trades of this change."""
        if order.hidden_until is not None and order.hidden_until > self._now():
            return
        earlier = self._pending.get(order.broker_order_id)
        self._pending[order.broker_order_id] = (order, (earlier[1] if earlier else ()) + trades)
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            pending, self._pending = self._pending, {}
            for order, trades in pending.values():
                try:
                    await self._send(order, trades)
                except Exception as error:
                    _log.warning(
                        "an order update was not delivered; the book has it",
                        broker_order_id=order.broker_order_id,
                        error=f"{type(error).__name__}: {error}",
                    )

    async def _send(self, order: PaperOrder, trades: tuple[PaperTrade, ...]) -> None:
        if sum(trade.quantity for trade in trades) == order.filled_quantity:
            await self._on_update(order_report(order, trades))
            return
        whole = await self._read(order.broker_order_id)
        if whole is not None:
            await self._on_update(whole)
