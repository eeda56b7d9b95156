"""Reconciliation of one broker, in its worker: read both sides, repair what is proved, note what is not."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import structlog
from redis.asyncio import Redis

from activities.charging import charge_by
from alphapanda.brokers.protocol import BrokerAdapter
from alphapanda.domain.calendar import Calendar
from alphapanda.domain.charges import ChargeTable
from alphapanda.domain.errors import AlphaPandaError
from alphapanda.domain.ids import Broker
from alphapanda.ledger.drift import note_drift
from alphapanda.ledger.engine import LedgerEngine
from alphapanda.ledger.external import book_external
from alphapanda.ledger.instruments import find_instrument
from alphapanda.ledger.reconciling import read_ledger
from alphapanda.live.reconciled import write_reconciled
from alphapanda.reconciliation.comparing import reconcile
from alphapanda.reconciliation.grace import Grace, Standing
from alphapanda.reconciliation.outcome import Adopt, Nudge
from alphapanda.reconciliation.reading import read_broker
from alphapanda.reconciliation.timing import CONFIRM, GRACE, pause
from alphapanda.reconciliation.views import BrokerView
from workers.book_watch import BookWatch
from workflows.desk import OrderDesk

log = structlog.get_logger(__name__)


class Reconciler:
    """`calendar` None: every hour is open. Runs of one process take turns; two processes may both run."""

    def __init__(
        self,
        broker: Broker,
        engine: LedgerEngine,
        redis: "Redis",
        desk: OrderDesk,
        watch: BookWatch,
        *,
        calendar: Calendar | None,
        grace: timedelta = GRACE,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._broker = broker
        self._engine = engine
        self._redis = redis
        self._desk = desk
        self._watch = watch
        self._calendar = calendar
        self._now = now
        self._grace = Grace(grace)
        self._asked = asyncio.Event()
        self._unread: dict[str, str] = {}

    async def soon(self) -> None:
        """Run as soon as possible: updates may have been lost."""
        self._asked.set()

    async def keep(self, adapter: BrokerAdapter, stop: asyncio.Event) -> None:
        """Run at once, when asked for and when the time has come, until `stop`; a failed run is tried again."""
        stopping = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                self._asked.clear()
                rest = await self._run_and_rest(adapter)
                asked = asyncio.create_task(self._asked.wait())
                await asyncio.wait((asked, stopping), timeout=rest.total_seconds(), return_when=asyncio.FIRST_COMPLETED)
                asked.cancel()
        finally:
            stopping.cancel()

    async def _run_and_rest(self, adapter: BrokerAdapter) -> timedelta:
        try:
            standing = await self.run(adapter)
        except AlphaPandaError as error:
            log.warning("not reconciled, to be tried again", broker=self._broker, code=error.code, error=str(error))
            return CONFIRM
        except Exception:
            log.exception("reconciliation failed", broker=self._broker)
            return CONFIRM
        return pause(self._now(), self._calendar, pending=standing.pending)

    async def run(self, adapter: BrokerAdapter) -> Standing:
        """One comparison with its repairs. Raises LedgerUnavailable; of the broker's failures none leaves here."""
        seen = await read_broker(adapter, now=self._now)
        ledger = await read_ledger(self._engine, self._broker, seen)
        # In a thread: a day of thousands of trades takes a while to compare, and orders must not wait for it.
        outcome = await asyncio.to_thread(reconcile, ledger, seen)
        standing = self._grace.stand(outcome, at=self._now())
        for adoption in standing.outcome.adoptions:
            await self._adopt(adoption)
        noted = await note_drift(self._engine, self._broker, standing.outcome.findings, outcome, now=self._now())
        for finding in noted.new:
            log.warning("drift", broker=self._broker, kind=finding.kind, key=finding.key, detail=finding.detail)
        if noted.cleared:
            log.info("drift is gone", broker=self._broker, rows=noted.cleared)
        await self._nudge(adapter, outcome.nudges)
        await self._tell(seen)
        return standing

    async def _adopt(self, adoption: Adopt) -> None:
        """One that cannot be booked, for a reason of its own, holds up neither the others nor what is ours."""
        try:
            await self._book_external(adoption)
        except Exception:
            number = adoption.broker_order_id
            log.exception("trades of others could not be booked", broker=self._broker, broker_order_id=number)

    async def _book_external(self, adoption: Adopt) -> None:
        first = adoption.trades[0]
        instrument = await find_instrument(self._engine, first.exchange, first.tradingsymbol)
        charge = charge_by(ChargeTable.packaged(), instrument)
        booked = await book_external(self._engine, self._broker, adoption.trades, now=self._now(), charge=charge)
        if booked:
            log.warning(
                "booked trades that nobody here ordered", broker=self._broker, trades=booked,
                broker_order_id=adoption.broker_order_id, instrument=f"{first.exchange}:{first.tradingsymbol}",
            )  # fmt: skip

    async def _nudge(self, adapter: BrokerAdapter, nudges: Sequence[Nudge]) -> None:
        for nudge in nudges:
            order = nudge.order
            try:
                if not await self._desk.nudge(order.workflow_id):
                    await self._book_ended(adapter, nudge)
            except AlphaPandaError as error:
                log.info("not nudged", order_id=order.order_id, broker=self._broker, code=error.code)
            else:
                log.info("nudged", order_id=order.order_id, broker=self._broker, why=nudge.why)

    async def _book_ended(self, adapter: BrokerAdapter, nudge: Nudge) -> None:
        """The workflow has ended: what its order's rows show is booked from here."""
        for number in nudge.numbers:
            report = await adapter.order(number)
            if report is not None:
                await self._watch.on_update(report)

    async def _tell(self, seen: BrokerView) -> None:
        """What could not be read, in the log where it changes; and for everybody who asks when this ran last."""
        if seen.unread != self._unread:
            self._unread = seen.unread
            log.info("read in part" if seen.unread else "read in full", broker=self._broker, unread=seen.unread)
        with suppress(AlphaPandaError):  # Redis is down: nobody is told, nothing is lost
            await write_reconciled(self._redis, self._broker, seen, at=self._now())
