"""Calls to one broker, on its own queue: each is made once, and each way it can end is an outcome, no exception."""

from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from temporalio import activity

from activities.heartbeats import heartbeats
from activities.messages import BrokerOrderInput, CallOutcome, CallResult, SubmitInput
from activities.signatures import BrokerCalls
from alphapanda.brokers.protocol import (
    AmbiguousOutcome,
    BrokerAdapter,
    BrokerError,
    BrokerRejected,
    BrokerUnavailable,
    NotAuthenticated,
    NotPermitted,
    RateLimited,
)
from alphapanda.domain.reasons import ReasonCode, reason
from alphapanda.domain.vocabulary import SessionState
from alphapanda.ledger.brokers import read_gate, set_session
from alphapanda.ledger.engine import LedgerEngine
from alphapanda.risk.rules import switch_refusal

_log = structlog.get_logger(__name__)

_OUTCOMES: dict[type[BrokerError], CallOutcome] = {
    BrokerRejected: CallOutcome.REJECTED,
    NotAuthenticated: CallOutcome.NOT_AUTHENTICATED,
    NotPermitted: CallOutcome.NOT_PERMITTED,
    RateLimited: CallOutcome.RATE_LIMITED,
    BrokerUnavailable: CallOutcome.UNAVAILABLE,
    AmbiguousOutcome: CallOutcome.AMBIGUOUS,
}

_LATER = frozenset({CallOutcome.NOT_AUTHENTICATED, CallOutcome.RATE_LIMITED, CallOutcome.UNAVAILABLE})


class BrokerActivities(BrokerCalls):
    """The activities of one broker's queue. A message for another broker is refused: paper never reaches a live one."""

    def __init__(
        self,
        *,
        broker: BrokerAdapter,
        engine: LedgerEngine,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._broker = broker
        self._engine = engine
        self._now = now

    @activity.defn(name="submit_order")
    async def submit_order(self, call: SubmitInput) -> CallResult:
        async with heartbeats():  # around the reading of the book too: a whole book takes its time
            return _told("submit", await self._submit(call))

    async def _submit(self, call: SubmitInput) -> CallResult:
        if call.request.broker != self._broker.name:
            return _wrong_queue(call.request.broker, self._broker.name)
        began = self._now()
        try:
            if call.read_book_first or activity.info().attempt > 1:
                known = await self._broker.find_by_tag(call.request.tag)
                if known is not None:
                    return CallResult(
                        outcome=CallOutcome.DONE,
                        broker_order_id=known.broker_order_id,
                        report=known,
                        message="found by tag",
                    )
            withheld = await self._withhold(call)
            if withheld is not None:
                return withheld
            if _too_little_time_left():
                return CallResult(outcome=CallOutcome.UNAVAILABLE, message="the book took too long; nothing was sent")
        except BrokerError as error:
            ended = await self._ended(error, began)  # the book could not be read: nothing is sent now
            return ended if ended.outcome in _LATER else ended.model_copy(update={"outcome": CallOutcome.UNAVAILABLE})
        except Exception as error:  # the ledger could not be asked for the switch: nothing was sent
            activity.logger.warning("not sent: the last check failed", exc_info=error)
            return CallResult(outcome=CallOutcome.UNAVAILABLE, message=f"the last check failed: {type(error).__name__}")
        try:
            placed = await self._broker.place(call.request.model_copy(update={"send_before": call.send_before}))
        except BrokerError as error:
            return await self._ended(error, began)
        except Exception as error:  # an adapter's bug after the request may have left: only the book can tell
            activity.logger.exception("the adapter failed while placing")
            return CallResult(outcome=CallOutcome.AMBIGUOUS, message=f"{type(error).__name__}: {error}")
        return CallResult(outcome=CallOutcome.DONE, broker_order_id=placed.broker_order_id, report=placed.report)

    async def _withhold(self, call: SubmitInput) -> CallResult | None:
        """Our own last word before the wire: the deadline, and the switch as it stands this instant."""
        if self._now() >= call.send_before:
            late = reason(ReasonCode.SIGNAL_EXPIRED, send_before=call.send_before.isoformat())
            return CallResult(outcome=CallOutcome.WITHHELD, withheld=late, message=str(late))
        gate = await read_gate(self._engine, call.request.order_id)
        refusal = None if call.is_exit else switch_refusal(gate.switch)
        if gate.cancel_requested:
            refusal = reason(ReasonCode.PERSON_CANCELLED)
        return (
            None
            if refusal is None
            else CallResult(outcome=CallOutcome.WITHHELD, withheld=refusal, message=str(refusal))
        )

    @activity.defn(name="look_up_order")
    async def look_up_order(self, call: BrokerOrderInput) -> CallResult:
        if call.broker != self._broker.name:
            return _wrong_queue(call.broker, self._broker.name)
        began = self._now()
        try:
            async with heartbeats():
                if call.broker_order_id is not None:
                    report = await self._broker.order(call.broker_order_id)
                else:
                    report = await self._broker.find_by_tag(call.tag)
        except BrokerError as error:
            return await self._ended(error, began)
        found = None if report is None else report.broker_order_id
        return CallResult(outcome=CallOutcome.DONE, broker_order_id=found, report=report)

    @activity.defn(name="cancel_order")
    async def cancel_order(self, call: BrokerOrderInput) -> CallResult:
        async with heartbeats():
            return _told("cancel", await self._request(call))

    @activity.defn(name="modify_order")
    async def modify_order(self, call: BrokerOrderInput) -> CallResult:
        async with heartbeats():
            return _told("modify", await self._request(call))

    async def _request(self, call: BrokerOrderInput) -> CallResult:
        """Ask for a change or (without one) a cancel, then read what the book says of the order."""
        if call.broker != self._broker.name:
            return _wrong_queue(call.broker, self._broker.name)
        if call.broker_order_id is None:
            return CallResult(outcome=CallOutcome.REJECTED, message="the order has no broker id yet")
        began = self._now()
        try:
            if call.change is not None:
                await self._broker.modify(call.broker_order_id, call.change, is_exit=call.is_exit)
            else:
                await self._broker.cancel(call.broker_order_id)
        except BrokerError as error:
            return await self._ended(error, began)
        try:
            report = await self._broker.order(call.broker_order_id)
        except BrokerError:
            report = None  # the request was taken; the order is read again soon
        return CallResult(outcome=CallOutcome.DONE, broker_order_id=call.broker_order_id, report=report)

    async def _ended(self, error: BrokerError, began: datetime) -> CallResult:
        outcome = _OUTCOMES.get(type(error), CallOutcome.AMBIGUOUS)
        # Dated by when the call began: a login that was made while it was under way is not undone by it.
        lost_at = began if outcome is CallOutcome.NOT_AUTHENTICATED else None
        if lost_at is not None:
            # Told to the ledger at once, so that the next order waits instead of trying.
            try:
                await set_session(
                    self._engine, self._broker.name, SessionState.EXPIRED,
                    actor="broker", reason=error.message, at=lost_at,
                )  # fmt: skip
            except Exception as unwritten:  # what the broker said stands, whether or not it could be written down
                activity.logger.warning("the dead session could not be recorded", exc_info=unwritten)
        retry_after = error.retry_after_s if isinstance(error, RateLimited) else 1.0
        return CallResult(outcome=outcome, message=error.message, retry_after_s=retry_after, lost_at=lost_at)


def _too_little_time_left() -> bool:
    """Whether a request begun now could still be under way when this activity counts as lost."""
    info = activity.info()
    allowed = info.start_to_close_timeout
    return allowed is not None and datetime.now(UTC) - info.started_time > allowed / 2


def _wrong_queue(asked: str, served: str) -> CallResult:
    return CallResult(outcome=CallOutcome.REJECTED, message=f"this worker serves {served}, not {asked}")


def _told(call: str, result: CallResult) -> CallResult:
    """One line per request; the interceptor adds whose it is."""
    _log.info(call, outcome=result.outcome, broker_order_id=result.broker_order_id, said=result.message)
    return result
