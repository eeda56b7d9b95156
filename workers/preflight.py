"""The preflight of a broker: is somebody logged in, asked by a call while there is still time to log in."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import structlog

from alphapanda.brokers.protocol import BrokerAdapter
from alphapanda.domain.calendar import IST, Calendar
from alphapanda.domain.errors import AlphaPandaError
from alphapanda.domain.ids import Broker
from alphapanda.domain.vocabulary import SessionState
from alphapanda.ledger.brokers import record_preflight
from alphapanda.ledger.engine import LedgerEngine
from alphapanda.sessions.advice import login_action
from alphapanda.sessions.preflight import is_last_call, login_needed_by, next_check

log = structlog.get_logger(__name__)

_NAP_S = 30.0
"""The moment is looked at again this often: a machine that slept, or whose clock was set, is not late by hours."""


class Preflight:
    """`calendar` None (a rehearsal, where every hour is open): there is no open to be in time for."""

    def __init__(
        self,
        broker: Broker,
        engine: LedgerEngine,
        *,
        calendar: Calendar | None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._broker = broker
        self._engine = engine
        self._calendar = calendar
        self._now = now

    async def keep(self, adapter: BrokerAdapter, stop: asyncio.Event) -> None:
        """Check at each moment of the calendar until `stop`."""
        if self._calendar is None:
            return
        due = next_check(self._now(), self._calendar)
        while not stop.is_set():
            if self._now() >= due:
                await self._checked(adapter, due, self._calendar)
                due = next_check(self._now(), self._calendar)
            nap = min(_NAP_S, max(0.0, (due - self._now()).total_seconds()))
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), nap)

    async def _checked(self, adapter: BrokerAdapter, due: datetime, calendar: Calendar) -> None:
        try:
            await self.check(adapter, due, calendar)
        except AlphaPandaError as error:
            log.warning("preflight failed", broker=self._broker, code=error.code, error=str(error))
        except Exception:
            log.exception("preflight failed", broker=self._broker)

    async def check(self, adapter: BrokerAdapter, due: datetime, calendar: Calendar) -> SessionState:
        """Ask the broker, and say loudly when a login is needed: in the log and in the ledger's broker events."""
        report = await adapter.session()
        if report.state is SessionState.ACTIVE:
            log.info("preflight: logged in", broker=self._broker)
            return report.state
        needed = login_needed_by(calendar, due)
        by = f" by {needed.astimezone(IST):%H:%M} IST" if needed else ""
        if report.state.needs_login:
            why, action = f"a login is needed{by}: {report.state}", login_action(self._broker)
        else:
            why = f"the session could not be checked, and is needed{by}: {report.detail or report.state}"
            action = f"Look at GET /api/v1/brokers/{self._broker}; it is asked again every few seconds."
        (log.error if is_last_call(due) else log.warning)(f"preflight: {why}", broker=self._broker, next_action=action)
        await record_preflight(self._engine, self._broker, report.state, reason=why, at=self._now())
        return report.state
