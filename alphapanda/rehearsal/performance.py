"""One rehearsal from the first process to the last: the desk comes up, the storm passes, the books are compared."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from redis.asyncio import Redis

from alphapanda.credentials import admin_token
from alphapanda.domain.errors import AlphaPandaError
from alphapanda.endpoints import resolve_endpoints
from alphapanda.rehearsal.broker_control import BrokerControl
from alphapanda.rehearsal.conduct import Conduct
from alphapanda.rehearsal.desk_api import DeskApi
from alphapanda.rehearsal.drive import Drive, Say
from alphapanda.rehearsal.person import Person
from alphapanda.rehearsal.plan import Storm
from alphapanda.rehearsal.prices import Prices
from alphapanda.rehearsal.sender import Sender
from alphapanda.rehearsal.surroundings import option_of, record_option
from alphapanda.rehearsal.verdict import Aftermath
from alphapanda.running.children import Child, Notice, Turn, module
from alphapanda.running.desk import Desk
from alphapanda.running.simulated import simulator_url
from alphapanda.running.supervisor import Supervisor
from alphapanda.settings import PREFIX, Settings

_QUOTED_WITHIN_S = 60.0
_AT_REST_WITHIN_S = 150.0
_AGREED_WITHIN_S = 90.0
_FEED_DRAIN_S = 15.0


async def perform(storm: Storm, settings: Settings, *, simulator_port: int, say: Say) -> Aftermath:
    """`settings`: of this process, as `settle_in` left them. Raises AlphaPandaError; leaves nothing running."""
    desk = Desk(settings, with_feed=True, ui_port=0, screen=_Screen(say), simulator_port=simulator_port)
    try:
        where = await desk.start()
        say(f"the desk is up at {where.api_url}, its broker is the simulator at {where.simulator_url}")
        async with (
            DeskApi(where.api_url, admin_token(settings)) as api,
            BrokerControl(simulator_url(simulator_port)) as broker,
            Redis.from_url(resolve_endpoints(settings).redis_url) as redis,
        ):
            return await _pass_through(storm, settings, desk, api, broker, redis, say)
    except* AlphaPandaError as failed:
        raise _first(failed) from failed
    finally:
        await desk.stop()
    raise AssertionError("unreachable: returned or raised above")


async def _pass_through(
    storm: Storm, settings: Settings, desk: Desk, api: DeskApi, broker: BrokerControl, redis: "Redis", say: Say
) -> Aftermath:
    conduct = Conduct()
    option = option_of(await broker.instruments("NFO"))
    prices = Prices(redis, option)
    person = Person(api, broker, conduct, say)
    drive = Drive(
        api, broker, Sender(api, broker, prices, conduct), person, conduct, crash=desk.crash, say=say
    )  # fmt: skip
    async with _feed_of(record_option(option, settings.data_dir), settings, say):
        await person.log_in()
        async with asyncio.timeout(_QUOTED_WITHIN_S):
            await prices.until_quoted()
        say(f"logged in; the storm begins: {len(storm.orders)} signals, {len(storm.faults)} kinds of faults")
        watching = asyncio.create_task(person.watch(), name="watch over what is parked")
        try:
            await drive.through(storm)
            say("the storm is over; the broker finds what it held, every order is brought to its end")
            await person.clear_up(within_s=_AT_REST_WITHIN_S)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        say("all at rest; reconciliation settles")
        ours, theirs = await person.until_books_agree(within_s=_AGREED_WITHIN_S)
    return Aftermath(storm, conduct, ours, theirs, settings.zerodha.limits)


@contextlib.asynccontextmanager
async def _feed_of(recording: Path, settings: Settings, say: Say) -> AsyncIterator[None]:
    """A second feed, of what the simulated one does not quote."""
    feed = Child(
        "feed-of-the-option",
        module("workers.feed"),
        settings.data_dir / "logs" / "feed-of-the-option.log",
        _FEED_DRAIN_S,
        may_finish=True,
        environment={
            f"{PREFIX}FEED__SOURCE": "replay",
            f"{PREFIX}FEED__FILES": f'["{recording}"]',
            f"{PREFIX}FEED__SPEED": "1",
        },
    )
    async with Supervisor([feed], notify=_Screen(say).notice):
        yield


class _Screen:
    """Of all that a desk tells while it starts and runs: what dies and comes back."""

    def __init__(self, say: Say) -> None:
        self._say = say

    def part(self, name: str, message: str) -> None:
        if message != "starting":
            self._say(f"{name}: {message}")

    def waiting_for(self, parts: list[str]) -> None:
        pass

    def notice(self, notice: Notice) -> None:
        if notice.turn is Turn.DIED:
            self._say(f"{notice.child.name} died with status {notice.status}, back in {notice.restart_in_s:g} s")

    def log_lines(self, name: str, lines: list[str]) -> None:
        """The storm makes hundreds; the logs have them."""


def _first(group: BaseExceptionGroup[AlphaPandaError]) -> AlphaPandaError:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
