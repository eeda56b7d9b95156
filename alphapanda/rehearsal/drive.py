"""Driving a storm over a running desk: orders at a steady pace, and what the script has happen between them."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from alphapanda.domain.errors import AlphaPandaError
from alphapanda.domain.ids import Broker, order_tag, order_workflow_id
from alphapanda.domain.vocabulary import SessionState
from alphapanda.rehearsal.books import BrokerBook
from alphapanda.rehearsal.broker_control import BrokerControl
from alphapanda.rehearsal.conduct import Conduct
from alphapanda.rehearsal.desk_api import BROKER, DeskApi, DeskRefused
from alphapanda.rehearsal.person import Person
from alphapanda.rehearsal.plan import (
    Disturb,
    KillWorker,
    LogIn,
    PlannedOrder,
    SessionEnds,
    Sockets,
    SquareOff,
    Step,
    Storm,
    TradeByHand,
)
from alphapanda.rehearsal.sender import Sender

ORDERS_PER_S = 4.0
"""Well below what the account may do, since cancels and changes come on top."""

WORKER = f"broker-{BROKER}"
_POLL_S = 0.1
_PATIENCE_S = 45.0
_QUIET_S = 1.5

Say = Callable[[str], None]


class RehearsalStuck(AlphaPandaError):  # noqa: N818 - named for the condition
    """The script cannot go on: what it waits for does not come."""

    code = "REHEARSAL_STUCK"
    default_next_action = "Read the logs in the data directory; it was kept."


class Drive:
    """`crash`: SIGKILL to one of the desk's processes, False while it does not run."""

    def __init__(
        self,
        desk: DeskApi,
        broker: BrokerControl,
        sender: Sender,
        person: Person,
        conduct: Conduct,
        *,
        crash: Callable[[str], bool],
        say: Say,
    ) -> None:
        self._desk = desk
        self._broker = broker
        self._sender = sender
        self._person = person
        self._conduct = conduct
        self._crash = crash
        self._say = say
        self._places_when_dead = 0

    async def through(self, storm: Storm) -> None:
        """Every step of the storm; returns when its senders have done their part. Raises AlphaPandaError."""
        total, sent = len(storm.orders), 0
        due = time.monotonic()
        async with asyncio.TaskGroup() as senders:
            for step in storm.steps:
                if isinstance(step, PlannedOrder):
                    senders.create_task(self._sender.send(step), name=str(step.signal_id))
                    sent += 1
                    if sent % 50 == 0:
                        self._say(f"{sent} of {total} signals handed in")
                    due = max(due + 1 / ORDERS_PER_S, time.monotonic())
                    await asyncio.sleep(due - time.monotonic())
                else:
                    await self._happen(step)
            self._say(f"all {total} signals handed in; waiting for their senders")

    async def _happen(self, step: Step) -> None:
        match step:
            case Disturb(arming):
                await self._broker.arm(arming)
            case Sockets(action):
                await self._broker.sockets(action)
            case TradeByHand(symbol, side, quantity):
                self._conduct.by_hand.add(await self._broker.trade(symbol, side, quantity))
            case SquareOff(symbol):
                self._conduct.by_hand.update(await self._broker.square_off(symbol))
            case KillWorker():
                await self._kill(step)
            case SessionEnds():
                await self._end_session(step)
            case LogIn():
                await self._log_in()

    async def _kill(self, step: KillWorker) -> None:
        """Right when the broker has accepted what the worker has not heard of yet."""
        tags = {order_tag(order_workflow_id(Broker(BROKER), signal)) for signal in step.on_the_wire}

        async def held() -> bool:
            return tags <= {row["tag"] for row in (await self._broker.state())["orders"]}

        await self._until(held, "the broker to hold the requests under which the worker is killed")
        await self._until(self._crashed, "the worker to be there to be killed")
        self._conduct.kills += 1
        self._say(f"killed {WORKER} ({self._conduct.kills}) with {len(tags)} requests on the wire")

    async def _crashed(self) -> bool:
        return self._crash(WORKER)

    async def _end_session(self, step: SessionEnds) -> None:
        if step.at_order is None:
            await self._broker.expire_session()

        async def is_dead() -> bool:
            return not (await self._broker.state())["session"]["open"]

        async def is_known() -> bool:
            return SessionState((await self._desk.broker())["session"]).needs_login

        await self._until(is_dead, "the session to end")
        await self._until(is_known, "the desk to find its session dead")
        self._places_when_dead = await self._quiet()
        self._say("the session is dead, and the desk knows")

    async def _log_in(self) -> None:
        await asyncio.sleep(_QUIET_S)
        after = (await self._book()).requests.get("place", 0)
        self._conduct.calls_on_dead_session += after - self._places_when_dead
        await self._person.log_in()
        self._say("logged in again")

    async def _quiet(self) -> int:
        """Until what was under way when the session died has come back. Returns the placing calls so far."""
        since, seen = time.monotonic(), -1
        while time.monotonic() - since < _QUIET_S:
            await asyncio.sleep(_POLL_S)
            now = (await self._book()).requests.get("place", 0)
            if now != seen:
                since, seen = time.monotonic(), now
        return seen

    async def _book(self) -> BrokerBook:
        return BrokerBook.of(await self._broker.state())

    async def _until(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while not await _holds(condition):
            if time.monotonic() > deadline:
                raise RehearsalStuck(f"waited {_PATIENCE_S:.0f} s for {what}")
            await asyncio.sleep(_POLL_S)


async def _holds(condition: Callable[[], Awaitable[bool]]) -> bool:
    """A desk that does not answer just now shows nothing."""
    try:
        return await condition()
    except DeskRefused:
        return False
