"""Who sends the orders of a storm: hands each signal in, as often as planned, and asks for a cancel or a change."""

import asyncio
import time
from decimal import Decimal
from typing import Any

from alphapanda.domain.ids import Broker, order_id, order_tag, order_workflow_id
from alphapanda.domain.states import TERMINAL, WORKING, OrderState
from alphapanda.domain.vocabulary import OrderType
from alphapanda.rehearsal.broker_control import BrokerControl
from alphapanda.rehearsal.conduct import Conduct
from alphapanda.rehearsal.desk_api import BROKER, DeskApi, DeskRefused
from alphapanda.rehearsal.plan import PlannedOrder, Then
from alphapanda.rehearsal.prices import Prices

_PATIENCE_S = 60.0
_LOOK_EVERY_S = 0.7
_TRIES = 8
_AGAIN_AFTER_S = 1.0


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
            await self._broker.arm(arming, tag=tag)
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
        try:
            if order.then is Then.CANCEL:
                self._conduct.cancels += 1
                await self._desk.command(name, "cancel")
            else:
                self._conduct.modifications += 1
                await self._desk.command(name, "modify", **await self._change(order))
        except DeskRefused:
            return  # it stays as it is, and is cancelled with all others in the end

    async def _change(self, order: PlannedOrder) -> dict[str, Any]:
        if order.order_type is not OrderType.LIMIT or order.price_percent is None:
            raise RuntimeError(f"{order.signal_id}: only limit orders are modified in a storm")
        nearer = order.price_percent * Decimal("0.6")
        return {"price": await self._prices.away(order.tradingsymbol, nearer), "quantity": order.quantity + 1}

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
