"""Who looks after the desk during a storm and clears up after it: logs in, decides what is parked, calls orders off."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from alphapanda.domain.states import TERMINAL, WORKING, OrderState
from alphapanda.domain.vocabulary import SessionState
from alphapanda.rehearsal.books import BrokerBook, DeskBook
from alphapanda.rehearsal.broker_control import BrokerControl
from alphapanda.rehearsal.conduct import Conduct, Parked
from alphapanda.rehearsal.desk_api import BROKER, DeskApi, DeskRefused

_LOOK_EVERY_S = 1.0
_LOGIN_WITHIN_S = 60.0
_AT_ONCE = 8
_TELL_EVERY_S = 10.0


class Person:
    def __init__(self, desk: DeskApi, broker: BrokerControl, conduct: Conduct, say: Callable[[str], None]) -> None:
        self._desk = desk
        self._broker = broker
        self._conduct = conduct
        self._say = say
        self._called_off: set[str] = set()

    async def log_in(self) -> None:
        """Until the desk says that its session is alive. Raises DeskRefused."""
        deadline = time.monotonic() + _LOGIN_WITHIN_S
        while True:
            try:
                await self._desk.log_in()
                if await self._is_logged_in(within_s=5.0):
                    self._conduct.logins += 1
                    return
                raise DeskRefused("logged in, and the desk says it is not", status=0)
            except DeskRefused:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(_LOOK_EVERY_S)

    async def watch(self) -> None:
        """Note what is parked, until cancelled."""
        while True:
            with suppress(DeskRefused):
                for order in await self._desk.all("/orders", state=OrderState.PARKED):
                    self._conduct.parked.setdefault(order["order_id"], Parked(order["order_id"]))
            await asyncio.sleep(_LOOK_EVERY_S)

    async def clear_up(self, *, within_s: float) -> None:
        """The storm is over: the broker finds what it held, and every order is brought to its end."""
        await self._broker.disarm()
        await self._broker.sockets("unmute")
        await self._broker.sockets("drop")  # the last time; once it is back, the desk reads all there is
        deadline, told = time.monotonic() + within_s, 0.0
        while True:
            await self._broker.release()
            with suppress(DeskRefused):
                live = [order for order in await self._desk.all("/orders") if not _has_ended(order)]
                if not live:
                    return
                if time.monotonic() - told > _TELL_EVERY_S:
                    told = time.monotonic()
                    self._say(f"{len(live)} orders still live")
                await self._bring_to_an_end(live)
                if time.monotonic() > deadline:
                    self._conduct.unsettled += [f"{order['order_id']} is {order['state']}" for order in live]
                    return
            await asyncio.sleep(_LOOK_EVERY_S)

    async def until_books_agree(self, *, within_s: float) -> tuple[DeskBook, BrokerBook]:
        """Both books once trades, positions and drift are settled, or as they are when the time is over."""
        deadline = time.monotonic() + within_s
        while True:
            late = time.monotonic() > deadline
            try:
                desk, broker = await self._desk_book(), BrokerBook.of(await self._broker.state())
            except DeskRefused:
                if late:
                    raise
            else:
                if late or _agree(desk, broker):
                    return desk, broker
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _desk_book(self) -> DeskBook:
        orders, fills, positions, drift = await asyncio.gather(
            self._desk.all("/orders"),
            self._desk.all("/fills"),
            self._desk.all("/positions"),
            self._desk.all(f"/brokers/{BROKER}/drift"),
        )
        return DeskBook.of(orders, fills, positions, drift)

    async def _bring_to_an_end(self, live: list[dict[str, Any]]) -> None:
        state = await self._broker.state()
        if not state["session"]["open"] or not await self._is_logged_in(within_s=0):
            await self.log_in()
        turn = asyncio.Semaphore(_AT_ONCE)
        await asyncio.gather(*(self._end(order, state, turn) for order in live))

    async def _end(self, order: dict[str, Any], state: dict[str, Any], turn: asyncio.Semaphore) -> None:
        async with turn:
            with suppress(DeskRefused):  # it has moved on meanwhile, or is asked again
                if order["state"] == OrderState.PARKED and not state["to_be_placed"]:
                    await self._resolve(order, state)
                elif OrderState(order["state"]) in WORKING and order["order_id"] not in self._called_off:
                    await self._desk.command(order["order_id"], "cancel")
                    self._called_off.add(order["order_id"])

    async def _resolve(self, order: dict[str, Any], state: dict[str, Any]) -> None:
        """By the evidence: whether the broker's book holds an order with its tag."""
        parked = self._conduct.parked.setdefault(order["order_id"], Parked(order["order_id"]))
        rows = [row for row in state["orders"] if row["tag"] == order["tag"]]
        verdict = OrderState.OPEN if rows else OrderState.CANCELLED
        because = f"in the book as {rows[0]['order_id']}" if rows else "not in the book"
        await self._desk.command(order["order_id"], "resolve", state=verdict, note=because)
        parked.resolved, parked.because = f"{because.partition(' as ')[0]}: {verdict}", because

    async def _is_logged_in(self, *, within_s: float) -> bool:
        deadline = time.monotonic() + within_s
        while True:
            with suppress(DeskRefused):
                if (await self._desk.broker())["session"] == SessionState.ACTIVE:
                    return True
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(0.2)


def _has_ended(order: dict[str, Any]) -> bool:
    return OrderState(order["state"]) in TERMINAL


def _agree(desk: DeskBook, broker: BrokerBook) -> bool:
    ours, theirs = ({trade.trade_id for trade in book.trades} for book in (desk, broker))
    return ours == theirs and desk.positions == broker.positions and not desk.drift
