"""Order updates over the socket: nudges to read an order, the latest of each, one at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import structlog

from alphapanda.brokers.zerodha import rows
from alphapanda.brokers.zerodha.account import credentials
from alphapanda.brokers.zerodha.needs import Tokens
from alphapanda.brokers.zerodha.rows import UnreadableRow
from alphapanda.brokers.zerodha.ticker import Ticker, TickerTiming
from alphapanda.domain.execution import OrderReport
from alphapanda.domain.ids import Broker
from alphapanda.settings import ZerodhaSettings

_log = structlog.get_logger(__name__)


class OrderUpdates:
    """Passes each changed row on to `on_update` while `run()` runs; a slow receiver gets fewer, newer ones."""

    def __init__(
        self,
        name: Broker,
        settings: ZerodhaSettings,
        tokens: Tokens,
        now: Callable[[], datetime],
        timing: TickerTiming,
        *,
        on_update: Callable[[OrderReport], Awaitable[None]],
        on_reconnect: Callable[[], Awaitable[None]],
        on_refused: Callable[[str], Awaitable[bool]],
    ) -> None:
        self._wanted = settings.order_updates
        self._now = now
        self._on_update = on_update
        api_key, _ = credentials(settings)
        self.ticker = Ticker(
            name, api_key, settings.ticker_root.rstrip("/"), tokens, timing,
            on_open=on_reconnect, on_order_update=self.put, on_refused=on_refused,
        )  # fmt: skip
        self._pending: dict[str, OrderReport] = {}
        self._wake = asyncio.Event()

    def put(self, row: dict[str, Any]) -> None:
        """Queue what an update says of one row of the book."""
        try:
            report = rows.entry(row, now=self._now()).report
        except UnreadableRow as error:
            _log.info("an order update was set aside", reason=str(error))
            return
        self._pending[report.broker_order_id] = report
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled; with order updates switched off it only waits."""
        if not self._wanted:
            await asyncio.Event().wait()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.ticker.run())
            tasks.create_task(self._send())

    async def _send(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            pending, self._pending = self._pending, {}
            for report in pending.values():
                try:
                    await self._on_update(report)
                except Exception as error:
                    _log.warning(
                        "an order update was not delivered; the book has it",
                        broker_order_id=report.broker_order_id, error=f"{type(error).__name__}: {error}",
                    )  # fmt: skip
