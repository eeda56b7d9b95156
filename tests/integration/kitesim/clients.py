"""Zerodha's own client and ticker, unmodified, pointed at a simulator."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from kiteconnect import KiteConnect, KiteTicker  # type: ignore[import-untyped]
from twisted.internet import reactor

from alphapanda.kitesim.server import KiteSim

T = TypeVar("T")

DEADLINE_S = 20.0
USUAL = {
    "variety": "regular", "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "quantity": 10,
    "product": "MIS", "order_type": "LIMIT", "price": 1500, "validity": "DAY",
}  # fmt: skip


class Client:
    """`kite` blocks: everything goes through `call`."""

    def __init__(self, kite: Any) -> None:
        self.kite = kite

    @classmethod
    def of(cls, sim: KiteSim, *, access_token: str | None = None, timeout: float = 5) -> "Client":
        token = access_token or sim.open_session()
        return cls(KiteConnect(sim.settings.api_key, token, root=sim.url, timeout=timeout))

    async def call(self, name: str, *arguments: Any, **options: Any) -> Any:
        return await asyncio.to_thread(getattr(self.kite, name), *arguments, **options)

    async def place(self, **changes: Any) -> Any:
        return await self.call("place_order", **(USUAL | changes))

    async def order(self, order_id: str) -> dict[str, Any]:
        """The row of the order book."""
        found = [row for row in await self.call("orders") if row["order_id"] == order_id]
        assert len(found) == 1
        row: dict[str, Any] = found[0]
        return row


async def until(condition: Callable[[], T], what: str) -> T:
    """The first true value of `condition`; fails after a deadline."""
    async with asyncio.timeout(DEADLINE_S):
        while not (value := condition()):
            await asyncio.sleep(0.01)
    assert value, what
    return value


def _running_reactor() -> Any:
    """Twisted's one reactor of this process: started once, never stopped, since it cannot be started again."""
    turning: Any = reactor
    if not turning.running:
        options = {"installSignalHandlers": False}
        threading.Thread(target=turning.run, kwargs=options, daemon=True).start()
        started = threading.Event()
        turning.callFromThread(started.set)
        assert started.wait(DEADLINE_S)
    return turning


class Listener:
    """An unmodified KiteTicker; what it hears is in the lists."""

    def __init__(self, sim: KiteSim, access_token: str) -> None:
        self.ticks: list[dict[str, Any]] = []
        self.updates: list[dict[str, Any]] = []
        self.payloads: list[bytes] = []
        self.connects = 0
        self.errors: list[str] = []
        self.ticker = KiteTicker(sim.settings.api_key, access_token, root=sim.ws_url)
        self.ticker.on_ticks = lambda _ws, ticks: self.ticks.extend(ticks)
        self.ticker.on_order_update = lambda _ws, data: self.updates.append(data)
        self.ticker.on_message = lambda _ws, payload, _binary: self.payloads.append(payload)
        self.ticker.on_error = lambda _ws, _code, reason: self.errors.append(str(reason))
        self.ticker.on_connect = self._connected

    async def __aenter__(self) -> "Listener":
        _running_reactor().callFromThread(self.ticker.connect, threaded=True)
        return self

    async def __aexit__(self, *_error: object) -> None:
        _running_reactor().callFromThread(self.ticker.close)

    async def connected(self) -> "Listener":
        await until(lambda: self.connects, "connected")
        return self

    async def subscribe(self, tokens: list[int], mode: str) -> None:
        _running_reactor().callFromThread(self.ticker.subscribe, tokens)
        _running_reactor().callFromThread(self.ticker.set_mode, mode, tokens)

    def statuses(self, order_id: str) -> list[str]:
        return [update["status"] for update in self.updates if update["order_id"] == order_id]

    def _connected(self, _ws: Any, _response: Any) -> None:
        self.connects += 1
