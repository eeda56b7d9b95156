"""The watch over a broker's book: what moved there reaches the order's workflow, or the ledger once it has ended."""

from datetime import UTC, datetime

import structlog

from activities.late_fills import book_late_report
from activities.messages import SessionCommand
from alphapanda.brokers.protocol import BrokerAdapter, BrokerError
from alphapanda.domain.execution import OrderReport
from alphapanda.domain.ids import Broker
from alphapanda.domain.vocabulary import SessionState
from alphapanda.ledger.brokers import read_broker_state
from alphapanda.ledger.engine import LedgerEngine
from alphapanda.ledger.tracked import TrackedOrder, orders_by_tag
from alphapanda.sessions.advice import login_action
from workflows.desk import OrderDesk

log = structlog.get_logger(__name__)


class BookWatch:
    """Updates are nudges: the workflow reads the book itself. Only a whole reading of an ended order is booked here."""

    def __init__(self, broker: Broker, engine: LedgerEngine, desk: OrderDesk) -> None:
        self._broker = broker
        self._engine = engine
        self._desk = desk

    async def on_update(self, report: OrderReport) -> None:
        """An order changed at the broker. May come twice, late or never."""
        if report.tag is None:
            return
        known = await orders_by_tag(self._engine, self._broker, [report.tag])
        if report.tag in known:
            await self._pass_on(known[report.tag], report)

    async def _pass_on(self, order: TrackedOrder, report: OrderReport) -> None:
        if await self._desk.nudge(order.workflow_id) or report.trades is None:
            return  # what was pushed, and not read from the book, is believed by nobody: reconciliation reads it
        booked = await book_late_report(self._engine, order, report, now=datetime.now(UTC))
        if booked:
            log.warning("booked a fill of an ended order", order_id=order.order_id, broker=self._broker, trades=booked)

    async def follow_session(self, broker: BrokerAdapter) -> None:
        """Ask the broker for the session, and tell its workflow when it is not what it is thought to be.

        What is told is dated by the question: a login made meanwhile stands.
        """
        asked_at = datetime.now(UTC)
        try:
            session = (await broker.session()).state
        except BrokerError as error:
            log.info("the session could not be read", broker=self._broker, code=error.code)
            return
        thought = await read_broker_state(self._engine, self._broker)
        if session is SessionState.UNKNOWN or (thought is not None and _same(thought.session, session)):
            return
        actor, detail = f"worker of {self._broker}", f"the broker says {session}"
        if session is SessionState.ACTIVE:
            log.info("the session lives", broker=self._broker)
            await self._desk.session_opened(self._broker, SessionCommand(actor=actor, detail=detail, at=asked_at))
            return
        # A dead token is dropped by whoever meets it first: to the next who asks there never was one.
        state = SessionState.EXPIRED if thought is not None and thought.session is SessionState.ACTIVE else session
        log.warning("a login is needed", broker=self._broker, session=state, next_action=login_action(self._broker))
        lost = SessionCommand(actor=actor, detail=detail, at=asked_at, state=state)
        await self._desk.session_lost(self._broker, lost)


def _same(thought: SessionState, found: SessionState) -> bool:
    """A session that died (EXPIRED) leaves the broker without one (LOGIN_REQUIRED): the same to all who wait."""
    return thought is found or (thought.needs_login and found.needs_login)
