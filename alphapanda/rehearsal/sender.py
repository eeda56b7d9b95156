"""Who sends the orders of a storm: hands each signal in, as often as planned, and asks for a cancel or a change."""

import asyncio
import time
from decimal import Decimal
from typing import Any

from alphapanda.domain.ids import Broker, next_tag, order_id, order_tag, order_workflow_id
from alphapanda.domain.states import TERMINAL, WORKING, OrderState
from alphapanda.rehearsal.broker_control import BrokerControl
from alphapanda.rehearsal.conduct import Conduct
from alphapanda.rehearsal.desk_api import BROKER, DeskApi, DeskRefused
from alphapanda.rehearsal.plan import PlannedOrder, Then
from alphapanda.rehearsal.prices import Prices

_PATIENCE_S = 60.0
_LOOK_EVERY_S = 0.7
_TRIES = 8
_AGAIN_AFTER_S = 1.0

TOO_OFTEN = 28
"""Three more modifications of one order than the broker takes."""


class Sender:
    def __init__(self, desk: DeskApi, broker: BrokerControl, prices: Prices, conduct: Conduct) -> None:
        self._desk = desk
        self._broker = broker
        self._prices = prices
        self._conduct = conduct

    async def send(self, order: PlannedOrder) -> None:
        """To the end of what its sender does about it; what becomes of it then is for the book to say."""
        tag = order_tag(order_workflow_id(Broker(BROKER), order.signal_id))
        for arming in order.faults:
            await self._broker.arm(arming, tag=next_tag(tag) if arming.replacement else tag)
        body = await self._prices.signal(order, BROKER)
        self._conduct.signals[order.signal_id] = order.posts
        await asyncio.gather(*(self._hand_in(order, body) for _ in range(order.posts)))
        if order.then is not Then.NOTHING and order.signal_id in self._conduct.orders_of:
            await self._follow(order)

    async def _hand_in(self, order: PlannedOrder, body: dict[str, Any]) -> None:
        """Again and again while nobody answers, as any careful client: the same id never trades twice."""
        for remaining in reversed(range(_TRIES)):
            try:
                accepted = await self._desk.hand_in(body)
            except DeskRefused as error:
                if error.status not in (0, 503) or not remaining:
                    self._conduct.refused[order.signal_id] = error.message
                    return
                await asyncio.sleep(_AGAIN_AFTER_S)
            else:
                names = {each["order_id"] for each in accepted["orders"]}
                self._conduct.orders_of.setdefault(order.signal_id, set()).update(names)
                return

    async def _follow(self, order: PlannedOrder) -> None:
        """Once it rests at the broker, cancel or change it; the broker may well refuse."""
        name = str(order_id(Broker(BROKER), order.signal_id))
        if not await self._until_working(name):
            return
        match order.then:
            case Then.CANCEL:
                await self._command(name, "cancel")
            case Then.MODIFY:
                price = await self._nearer(order, Decimal("0.6"))
                await self._command(name, "modify", price=price, quantity=order.quantity + 1)
            case Then.MODIFY_TOO_OFTEN:
                await self._modify_too_often(name, order)

    async def _modify_too_often(self, name: str, order: PlannedOrder) -> None:
        deadline, done = time.monotonic() + _PATIENCE_S, 0
        while done < TOO_OFTEN and time.monotonic() < deadline:
            price = await self._nearer(order, 1 - Decimal(done % 20 + 1) / 100)
            if await self._command(name, "modify", price=price):
                done += 1
            else:
                await asyncio.sleep(_AGAIN_AFTER_S)

    async def _command(self, name: str, verb: str, **body: Any) -> bool:
        """What is refused stays as it is, and is cancelled with all others in the end."""
        try:
            await self._desk.command(name, verb, **body)
        except DeskRefused:
            return False
        return True

    async def _nearer(self, order: PlannedOrder, part: Decimal) -> str:
        """The price at `part` of the order's distance from the market."""
        if order.price_percent is None:
            raise RuntimeError(f"{order.signal_id}: only limit orders are modified in a storm")
        return await self._prices.away(order.tradingsymbol, order.price_percent * part)

    async def _until_working(self, name: str) -> bool:
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            try:
                state = OrderState((await self._desk.order(name))["state"])
            except DeskRefused:
                state = OrderState.RECEIVED
            if state in WORKING or state in TERMINAL:
                return state in WORKING
            await asyncio.sleep(_LOOK_EVERY_S)
        return False
