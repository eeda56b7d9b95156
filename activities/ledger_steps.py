"""The ledger steps of an order: read what the verdict needs, decide with the pure domain, write once."""

import asyncio
import math
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import asyncpg  # type: ignore[import-untyped]
import structlog
from pydantic import ValidationError
from redis.asyncio import Redis
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.charging import charge_by
from activities.messages import (
    ChangeInput,
    ChangeResult,
    CheckInput,
    CheckResult,
    Entered,
    RecordInput,
    SessionInput,
    SwitchInput,
)
from activities.signatures import LedgerSteps
from alphapanda.domain.calendar import Calendar
from alphapanda.domain.charges import ChargeTable
from alphapanda.domain.ids import Broker
from alphapanda.domain.reasons import Reason, ReasonCode
from alphapanda.domain.states import WORKING, OrderState
from alphapanda.ledger.brokers import set_session, set_switch
from alphapanda.ledger.changing import reserve_change
from alphapanda.ledger.clearing import ClearingStep, clear_order
from alphapanda.ledger.engine import LedgerEngine
from alphapanda.ledger.events import Transition
from alphapanda.ledger.instruments import InstrumentCache
from alphapanda.ledger.recording import RecordStep, record_step
from alphapanda.live.marks import Marks
from alphapanda.live.quotes import LiveUnavailable, last_quote
from alphapanda.risk.book import Book, Limits, QuoteView
from alphapanda.risk.change import changed_terms, contradiction, refuse_change
from alphapanda.risk.clearance import Facts, Verdict, clear

P = ParamSpec("P")
R = TypeVar("R")

_log = structlog.get_logger(__name__)

_UNREACHABLE = (
    OperationalError,
    InterfaceError,
    PoolTimeoutError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
)


def ledger_step(step: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """A lost connection is retried by Temporal; anything else is a bug or poison, which a retry would only repeat."""

    @wraps(step)
    async def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await step(*args, **kwargs)
        except (*_UNREACHABLE, OSError, TimeoutError) as error:
            raise ApplicationError(
                f"the ledger cannot be reached: {type(error).__name__}", type="LEDGER_UNAVAILABLE"
            ) from None
        except (DBAPIError, asyncpg.PostgresError) as error:
            # The driver's message is kept; the statement's parameters are not.
            said = error.orig if isinstance(error, DBAPIError) else error
            raise ApplicationError(f"{said}", type="LEDGER_REFUSED", non_retryable=True) from None
        except Exception as error:
            raise ApplicationError(
                f"{type(error).__name__}: {error}", type="INTERNAL_ERROR", non_retryable=True
            ) from error

    return guarded


class LedgerActivities(LedgerSteps):
    """One instance per process. `calendar` is None while the market counts as always open."""

    def __init__(
        self,
        *,
        engine: LedgerEngine,
        redis: "Redis",
        limits: Mapping[Broker, Limits],
        calendar: Calendar | None,
        charges: ChargeTable,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._engine = engine
        self._redis = redis
        self._limits = limits
        self._calendar = calendar
        self._charges = charges
        self._now = now
        self._instruments = InstrumentCache(engine)
        self._marks = Marks(engine, redis)

    @activity.defn(name="check_order")
    @ledger_step
    async def check_order(self, step: CheckInput) -> CheckResult:
        signal, limits, now = step.signal, self._limits[step.broker], max(self._now(), step.not_before)
        instrument = await self._instruments.get(signal.exchange, signal.tradingsymbol)
        unrealised = await self._marks.unrealised(step.broker)
        # Read beside the book: they come from different servers.
        quote = asyncio.create_task(self._quote(signal.instrument))

        async def decide(book: Book) -> Verdict:
            facts = Facts(instrument, self._calendar, await quote, book.marked(unrealised), limits, now)
            return clear(
                signal,
                step.state,
                facts,
                approved_by=step.approved_by,
                reserved_exit=step.reserved_exit,
                patient=step.patient,
            )

        cleared = await clear_order(
            self._engine,
            ClearingStep(
                order_id=step.order_id,
                broker=step.broker,
                signal=signal,
                correlation_id=step.correlation_id,
                state=step.state,
                seq=step.seq,
                duplicate_window=timedelta(seconds=limits.duplicate_window_s),
                actor=step.approved_by or "workflow",
            ),
            now=now,
            decide=decide,
        )
        _tell(cleared.transitions)
        waits = OrderState.AWAITING_AUTH in (step.state, *(t.state for t in cleared.transitions[-1:]))
        return CheckResult(
            entered=tuple(Entered(state=t.state, reason=t.reason, actor=t.actor) for t in cleared.transitions),
            seq=cleared.seq,
            tag=cleared.tag,
            session_since=cleared.session_since if waits else None,
            is_exit=cleared.is_exit,
            wait_until=cleared.verdict.wait_until if cleared.verdict else None,
            needs_quote=cleared.verdict.needs_quote if cleared.verdict else _stopped_for_a_quote(cleared.transitions),
        )

    @activity.defn(name="record_order")
    @ledger_step
    async def record_order(self, step: RecordInput) -> None:
        trade = step.trades[0] if step.trades else None
        instrument = await self._instruments.get(trade.exchange, trade.tradingsymbol) if trade else None
        await record_step(
            self._engine,
            RecordStep(
                order_id=step.order_id,
                broker=step.broker,
                correlation_id=step.correlation_id,
                seq=step.seq,
                transitions=tuple(Transition(e.state, e.reason, e.actor) for e in step.entered),
                trades=step.trades,
                quantity=step.quantity,
                order_type=step.order_type,
                validity=step.validity,
                broker_order_id=step.broker_order_id,
                price=None if step.price is None else Decimal(step.price),
                trigger_price=None if step.trigger_price is None else Decimal(step.trigger_price),
                cancel_requested=step.cancel_requested,
                modify_requested=step.modify_requested,
                tag=step.tag,
                evidence=step.evidence,
            ),
            now=self._now(),
            charge=charge_by(self._charges, instrument),
        )
        _tell(step.entered)
        _alert(step)

    @activity.defn(name="check_change")
    @ledger_step
    async def check_change(self, step: ChangeInput) -> ChangeResult:
        signal = step.signal
        instrument = await self._instruments.get(signal.exchange, signal.tradingsymbol)
        quote = await self._quote(signal.instrument)
        limits, now = self._limits[step.broker], self._now()
        unrealised = await self._marks.unrealised(step.broker)
        try:
            terms = changed_terms(signal.terms, step.change)
        except ValidationError as error:
            return ChangeResult(refusal=contradiction(error))

        def decide(book: Book, is_exit: bool) -> Reason | None:
            facts = Facts(instrument, self._calendar, quote, book.marked(unrealised), limits, now)
            return refuse_change(signal, terms, step.filled_quantity, facts, is_exit=is_exit)

        remaining = signal.model_copy(update={"quantity": max(terms.quantity - step.filled_quantity, 0)})
        refusal = await reserve_change(self._engine, step.order_id, step.broker, remaining, now=now, decide=decide)
        return ChangeResult(refusal=refusal, terms=None if refusal else terms)

    @activity.defn(name="set_switch")
    @ledger_step
    async def set_switch(self, step: SwitchInput) -> None:
        await set_switch(self._engine, step.broker, step.switch, actor=step.actor, reason=step.reason, at=self._now())

    @activity.defn(name="set_session")
    @ledger_step
    async def set_session(self, step: SessionInput) -> None:
        at = step.at or self._now()
        await set_session(self._engine, step.broker, step.session, actor=step.actor, reason=step.detail, at=at)

    async def _quote(self, instrument: str) -> QuoteView:
        """The last quote; unknown (never old, never zero) where Redis cannot be asked."""
        try:
            tick = await last_quote(self._redis, instrument)
        except LiveUnavailable:
            tick = None
        # Feeds send zero for what has not traded: that is no price.
        if tick is None or not 0 < tick.last_price < math.inf:
            return QuoteView(None, None)
        return QuoteView(tick.price, datetime.fromtimestamp(tick.received_at, tz=UTC))


def _stopped_for_a_quote(transitions: tuple[Transition, ...]) -> bool:
    """An earlier run of this step that ended at VALIDATED did so only for want of a quote."""
    return bool(transitions) and transitions[-1].state is OrderState.VALIDATED


def _alert(step: RecordInput) -> None:
    """What a person has to look at now, as an error with what to do."""
    for entered in step.entered:
        stuck = entered.reason.code is ReasonCode.SUBMIT_NOT_CONFIRMED and entered.state in WORKING
        if entered.state is OrderState.PARKED or stuck:
            _log.error(
                "the broker has the order and does not pass it on" if stuck else "an order is parked",
                order_id=step.order_id,
                broker=step.broker,
                broker_order_id=step.broker_order_id,
                reason=str(entered.reason),
                next_action="Look it up in the broker's own order book"
                + ("." if stuck else f", then: alphapanda orders resolve {step.order_id} --state …"),
            )


def _tell(entered: Sequence[Entered | Transition]) -> None:
    """One line per step; the interceptor adds whose it is."""
    if entered:
        _log.info("order", state=str(entered[-1].state), reason=str(entered[-1].reason))
