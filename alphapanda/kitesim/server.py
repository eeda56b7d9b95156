"""The simulator as one object: `async with KiteSim(SimSettings()) as sim:` serves until the block ends.

Kite's client blocks, so call it from threads: this serves in the event loop it was entered in.
"""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

import structlog

from alphapanda.kitesim import actions
from alphapanda.kitesim.account import Account
from alphapanda.kitesim.app import SimApp
from alphapanda.kitesim.book import Event
from alphapanda.kitesim.faults import Faults
from alphapanda.kitesim.login import PATH
from alphapanda.kitesim.postbacks import Postbacks
from alphapanda.kitesim.serving import HOST, bind, server_of
from alphapanda.kitesim.settings import SimSettings
from alphapanda.kitesim.sockets import Tickers
from alphapanda.kitesim.truth import state
from alphapanda.kitesim.walk import Walk

_log = structlog.get_logger(__name__)

_TEND_S = 0.02
"""How late at most what is due may happen."""


class KiteSim:
    """One account behind Kite's protocol. Enter it before anything else; methods belong to that event loop."""

    def __init__(self, settings: SimSettings | None = None) -> None:
        self.settings = settings or SimSettings()

    async def __aenter__(self) -> Self:
        """Raises SimPortError and SimStateError."""
        self._socket = bind(self.settings.port)
        try:
            self.account = Account(self.settings)
        except BaseException:
            self._socket.close()
            raise
        self.tickers = Tickers(self.account)
        url = self.settings.postback_url
        self._postbacks = Postbacks(self.account, url) if url is not None else None
        self.account.on_events = self._publish
        self.account.on_tick = self.tickers.tick
        self.account.on_session_end = self._end_sockets
        self._server = server_of(SimApp(self.account, self.tickers))
        self._tasks = [asyncio.create_task(each) for each in (self._server.serve([self._socket]), self._tend())]
        if self._postbacks is not None:
            self._tasks.append(asyncio.create_task(self._postbacks.run()))
        if self.settings.walk_ticks_per_second > 0:
            self._tasks.append(asyncio.create_task(Walk(self.account).run()))
        for task in self._tasks:
            task.add_done_callback(_say_if_failed)
        while not self._server.started:
            await asyncio.sleep(0.005)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.tickers.drop()
        self._server.should_exit = True
        serving, *others = self._tasks
        for task in others:
            task.cancel()
        ended = await asyncio.gather(serving, *others, return_exceptions=True)
        self._socket.close()
        self.account.close()
        for each in ended:
            if isinstance(each, Exception) and error is None:
                raise each

    @property
    def port(self) -> int:
        port: int = self._socket.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        """What `KiteConnect(root=…)` takes."""
        return f"http://{HOST}:{self.port}"

    @property
    def ws_url(self) -> str:
        """What `KiteTicker(root=…)` takes."""
        return f"ws://{HOST}:{self.port}"

    @property
    def login_url(self) -> str:
        return f"{self.url}{PATH}?v=3&api_key={self.settings.api_key}"

    @property
    def faults(self) -> Faults:
        return self.account.faults

    def login(self) -> str:
        """A fresh request token, as the login page hands one out; for `generate_session`."""
        return self.account.sessions.request_token(self._now())

    def open_session(self) -> str:
        """An access token at once, without a login. Any earlier one dies."""
        return self.account.fresh_session()

    def expire_session(self) -> None:
        """The day's end or a login elsewhere: the access token is dead, tickers are cut off."""
        self.account.end_session()

    def state(self) -> dict[str, Any]:
        """The truth: `GET /sim/state` (see truth.state)."""
        return state(self.account, self.tickers)

    async def set_price(
        self,
        exchange: str,
        tradingsymbol: str,
        ltp: Decimal | str | float,
        volume: int | None = None,
        *,
        bid: Decimal | str | float | None = None,
        ask: Decimal | str | float | None = None,
    ) -> None:
        """A trade at `ltp` rupees, of which `volume` shares can be had (None: any number). Floats go by their repr.

        Raises InvalidValueError for an unknown derivative; a share nobody has named before is made up.
        """
        near, far = _exact(bid), _exact(ask)
        price = Decimal(str(ltp))
        actions.set_price(self.account, exchange, tradingsymbol, price, volume=volume, bid=near, ask=far)

    def external_trade(
        self,
        exchange: str,
        tradingsymbol: str,
        transaction_type: str,
        quantity: int,
        *,
        product: str = "MIS",
        price: Decimal | None = None,
    ) -> str:
        """A trade in the broker's own app. Returns its order id. Raises InvalidValueError."""
        return actions.external_trade(
            self.account, exchange, tradingsymbol, transaction_type, quantity, product=product, price=price
        )

    def square_off(
        self, *, exchange: str | None = None, tradingsymbol: str | None = None, product: str | None = None
    ) -> list[str]:
        """The broker's risk management closes these positions, or all. Returns the order ids."""
        return actions.square_off(self.account, exchange=exchange, tradingsymbol=tradingsymbol, product=product)

    def release(self, order_id: str | None = None) -> int:
        """Let go orders that a fault keeps stuck, hidden, lagging or half filled. Returns how many."""
        released = self.account.exchange.release(order_id, self._now())
        self.account.commit()
        return released

    def open_market(self) -> None:
        self.account.set_market(is_open=True)

    def close_market(self) -> None:
        """Resting orders are cancelled; from now on only AMO orders are taken."""
        self.account.set_market(is_open=False)

    def drop_sockets(self) -> int:
        """Cut every ticker's line. Returns how many there were."""
        return self.tickers.drop()

    def mute_sockets(self, *, muted: bool = True) -> None:
        """Connected tickers hear nothing more, not even heartbeats."""
        self.tickers.mute(muted=muted)

    def _publish(self, events: list[Event]) -> None:
        for event in events:
            self.tickers.publish(event)
            if self._postbacks is not None:
                self._postbacks.publish(event)

    def _end_sockets(self) -> None:
        self.tickers.drop()

    async def _tend(self) -> None:
        """Run what is due: a polling loop, since faults with delays are few and a wake-up costs microseconds."""
        while True:
            await asyncio.sleep(_TEND_S)
            due = self.account.book.next_due()
            if due is not None and due <= self._now():
                self.account.exchange.advance(self._now())
                self.account.commit()

    def _now(self) -> datetime:
        return datetime.now(UTC)


def _say_if_failed(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("a part of the Kite simulator has failed", exc_info=error)


def _exact(price: Decimal | str | float | None) -> Decimal | None:
    return Decimal(str(price)) if price is not None else None
