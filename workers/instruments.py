"""The day's instrument dump, fetched by the broker's process once a day after it is renewed at eight in the morning."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import structlog
from redis.asyncio import Redis

from alphapanda.brokers.protocol import NotAuthenticated
from alphapanda.domain.calendar import Calendar
from alphapanda.domain.errors import AlphaPandaError
from alphapanda.domain.ids import Broker
from alphapanda.instruments.acceptance import DumpRefused
from alphapanda.instruments.freshness import freshness, session_of
from alphapanda.ledger.engine import LedgerEngine
from alphapanda.ledger.instrument_loads import LoadRecord, newest_load
from alphapanda.settings import Settings

log = structlog.get_logger(__name__)

_LOOK_EVERY_S = 60.0
_AFTER_FAILURE_S = 300.0
_AFTER_REFUSAL_S = 3600.0
"""What was refused is not better a minute later, and is many megabytes."""

_ZERODHA = Broker("zerodha")


class DailyDump:
    """`calendar` None (a rehearsal, where every hour is open): nothing is fetched by itself; a person still may."""

    def __init__(
        self,
        broker: Broker,
        settings: Settings,
        engine: LedgerEngine,
        redis: "Redis",
        *,
        calendar: Calendar | None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._broker = broker
        self._settings = settings
        self._engine = engine
        self._redis = redis
        self._calendar = calendar
        self._now = now

    async def keep(self, stop: asyncio.Event) -> None:
        """Look every minute until `stop`. Nothing that goes wrong here ends the broker's process."""
        if self._broker != _ZERODHA or self._calendar is None:
            return
        while not stop.is_set():
            nap = await self._looked(self._calendar)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), nap)

    async def _looked(self, calendar: Calendar) -> float:
        """Look once; returns after how many seconds to look again."""
        try:
            await self.refresh(calendar)
        except NotAuthenticated:
            await self._tell("the day's instrument dump waits for a login", calendar)
            return _AFTER_FAILURE_S
        except DumpRefused as error:
            await self._tell(str(error), calendar)
            return _AFTER_REFUSAL_S
        except AlphaPandaError as error:
            await self._tell(f"the day's instrument dump could not be loaded: {error}", calendar)
            return _AFTER_FAILURE_S
        except Exception:
            log.exception("the day's instrument dump could not be loaded", broker=self._broker)
            return _AFTER_FAILURE_S
        return _LOOK_EVERY_S

    async def refresh(self, calendar: Calendar) -> LoadRecord | None:
        """Load the dump of the newest session, unless it is there already (then None). Raises what the load raises."""
        from alphapanda.instruments.from_zerodha import load_from_zerodha, source_of  # noqa: PLC0415 - zerodha only

        newest = await newest_load(self._engine, source_of(self._settings))
        if newest is not None and newest.as_of >= session_of(self._now(), calendar):
            return None
        return await load_from_zerodha(
            self._settings, self._engine, self._redis, actor=f"broker-{self._broker}", now=self._now()
        )

    async def _tell(self, what: str, calendar: Calendar) -> None:
        """A warning with how old the dump in use is: old ticks and lots are found out by rejections otherwise."""
        try:
            newest = await newest_load(self._engine, None)
        except AlphaPandaError:
            newest = None
        limit = self._settings.risk.max_dump_age_days if self._settings.trades_real_money_at(self._broker) else None
        stands = freshness(newest.as_of if newest else None, self._now(), calendar, max_age_days=limit)
        log.warning(what, broker=self._broker, loaded=stands.detail, next_action=stands.next_action)
