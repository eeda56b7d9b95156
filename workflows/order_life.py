"""What an OrderWorkflow knows of its order, and the one way in which it changes.

A state is entered through `enter`, `observe` or `adopt`, checked against the table, and written to the ledger by
`flush`: everything that happened between two waits goes into one transaction.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey

from workflows.evidence import Gathered
from workflows.next_steps import next_step

with workflow.unsafe.imports_passed_through():
    from activities.messages import (
        CheckResult,
        Entered,
        OrderInput,
        OrderSnapshot,
        OrderStatus,
        RecordInput,
    )
    from activities.signatures import LedgerSteps
    from alphapanda.domain.evidence import Replaced
    from alphapanda.domain.execution import BookStatus, OrderReport, TradeReport
    from alphapanda.domain.ids import next_tag
    from alphapanda.domain.reasons import Reason, ReasonCode, reason
    from alphapanda.domain.signal import OrderTerms, Signal
    from alphapanda.domain.states import TERMINAL, WORKING, OrderState, check_transition
    from alphapanda.domain.tracking import (
        Observation,
        Progress,
        observe,
        observe_replaced,
        remember_unplaced,
        slices_refused,
    )

ORDER_STATE = SearchAttributeKey.for_keyword("OrderState")

LEDGER_TIMEOUT = timedelta(seconds=10)
LEDGER_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=200), backoff_coefficient=2, maximum_interval=timedelta(seconds=10)
)


class OrderLife:
    """State, progress and flags of one order, with the events not yet written."""

    def __init__(self, order: OrderInput) -> None:
        self.order = order
        self.signal = order.signal
        self.policy = order.policy
        restored = order.resumed
        self.state = restored.state if restored else OrderState.RECEIVED
        self.reason = restored.reason if restored else reason(ReasonCode.SIGNAL_ACCEPTED)
        self.progress = _progress(restored, order)
        self.tag = restored.tag if restored else None
        self.broker_order_id = restored.broker_order_id if restored else None
        self.is_exit = restored.is_exit if restored else False
        self.attempt = restored.attempt if restored else 0
        self.unproved = False
        """Whether an attempt to send it ended without proof: only the book can tell that nothing is there."""
        self.cancel_requested = restored.cancel_requested if restored else False
        self.modify_requested = restored.modify_requested if restored else False
        self.terms = restored.terms if restored and restored.terms else order.signal.terms
        self.modifications = restored.modifications if restored else 0
        """Of its present order at the broker, those included whose answer was lost."""
        self.reprices = restored.reprices if restored else 0
        self.unfilled_since = restored.unfilled_since if restored else None
        """Since when the rest of a market order is known to stay open; only where policy acts on that."""
        self.shown: OrderReport | None = None
        """The book's row as it was read last, without its trades."""
        self.pending_since: datetime | None = None
        """Since when the book has shown the working order as pending at the broker."""
        self.pending_told = False
        self.idle_since: datetime | None = None
        """Since when all that the book shows of a sliced order has been filled, and is not all of it."""
        self.absent_reads = 0
        self.absent_since: datetime | None = None
        """How often in a row, and since when, the book has not shown the working order."""
        self.evidence = Gathered(restored.replaced if restored else ())
        self._seq = restored.seq if restored else order.seq
        self._published = self.state
        self._pending: list[Entered] = []
        self._trades: list[TradeReport] = []
        self._dirty = False
        self._new_tag = False

    @property
    def seq(self) -> int:
        """The number of the last event the ledger has."""
        return self._seq

    @property
    def ended(self) -> bool:
        return self.state in TERMINAL

    def enter(self, state: OrderState, why: Reason, actor: str = "workflow") -> None:
        """Enter a state by our own or a person's decision. Raises IllegalTransitionError."""
        check_transition(self.state, state)
        self._pending.append(Entered(state=state, reason=why, actor=actor))
        self._moved(state, why)

    def note(self, why: Reason, actor: str = "workflow") -> None:
        """Keep what happened beside the state as an event of its own; the order's own reason stays."""
        self._pending.append(Entered(state=self.state, reason=why, actor=actor))

    def adopt(self, checked: CheckResult) -> None:
        """Take over what a clearing step decided and has already written."""
        for entered in checked.entered:
            check_transition(self.state, entered.state)
            self._moved(entered.state, entered.reason)
        self._seq = checked.seq
        self.tag = checked.tag or self.tag
        self.is_exit = checked.is_exit or self.is_exit

    def observe(self, report: OrderReport, *, found: Reason | None = None) -> None:
        """Take over what the broker's book says. `found` is the reason shown where the order turned up unexpectedly."""
        self.remember(report)
        seen = observe(self.progress, report)
        self._take_over(seen, found)

    def remember(self, report: OrderReport) -> None:
        """Keep what a report says beside the state: where the order is, and what was refused of it."""
        self.broker_order_id = report.broker_order_id
        self.shown = report.model_copy(update={"trades": None})
        before, self.progress = self.progress, remember_unplaced(self.progress, report)
        if self.progress.unplaced != before.unplaced and self.state in WORKING:
            self.note(slices_refused(self.progress), "broker")

    def observe_replaced(self, report: OrderReport) -> None:
        """Take over what the book says of an order at the broker that this one's present order has replaced."""
        self._take_over(observe_replaced(self.progress, report), None)

    def replace(self, terms: OrderTerms, why: Reason) -> None:
        """Place the rest anew under the next tag; the order before has ended at the broker for certain."""
        if self.tag is None or self.broker_order_id is None:
            raise ValueError("only an order at the broker is replaced")
        self.evidence.replaced += (Replaced(tag=self.tag, broker_order_id=self.broker_order_id),)
        self.tag, self._new_tag = next_tag(self.tag), True
        self.broker_order_id, self.shown, self.unproved, self.unfilled_since = None, None, False, None
        self.modifications = 0
        self.progress = replace(self.progress, base=self.progress.filled_quantity, unplaced=0, refusal="")
        self.change_terms(terms)
        self.modify_requested = False
        self.enter(OrderState.SUBMITTING, why)

    def _take_over(self, seen: Observation, found: Reason | None) -> None:
        self._dirty = self._dirty or seen.progress.quantity != self.progress.quantity
        self.progress = seen.progress
        self._trades.extend(seen.new_trades)
        for index, (state, why) in enumerate(seen.entered):
            shown = found if found is not None and index == 0 else why
            self._pending.append(Entered(state=state, reason=shown, actor="broker"))
            self._moved(state, shown)

    @property
    def current_signal(self) -> Signal:
        """The signal with the terms as they were last changed."""
        return self.signal.model_copy(update=self.terms.model_dump())

    def change_terms(self, terms: OrderTerms) -> None:
        """Take over terms the broker accepted; written with the next flush."""
        self.terms = terms
        # A report of the whole order says it again; one that shows only a part of it cannot.
        self.progress = replace(self.progress, quantity=max(terms.quantity, self.progress.filled_quantity))
        self._dirty = True

    def mark(self, *, cancel_requested: bool | None = None, modify_requested: bool | None = None) -> None:
        """Set a flag beside the state; written with the next flush."""
        if cancel_requested is not None:
            self.cancel_requested = cancel_requested
        if modify_requested is not None:
            self.modify_requested = modify_requested
        self._dirty = True

    def _moved(self, state: OrderState, why: Reason) -> None:
        self.state = state
        self.reason = why
        self.progress = replace(self.progress, state=state)
        self.evidence.in_doubt = self.evidence.in_doubt or state is OrderState.UNKNOWN

    async def flush(self) -> None:
        """Write what happened since the last flush: one transaction, or nothing."""
        if not (self._pending or self._trades or self._dirty):
            return
        if self.ended:
            self.cancel_requested = self.modify_requested = False
        entered, trades = tuple(self._pending), tuple(self._trades)
        self._pending, self._trades, self._dirty = [], [], False
        step = RecordInput(
            order_id=self.order.order_id,
            broker=self.order.broker,
            correlation_id=self.order.correlation_id,
            seq=self._seq,
            entered=entered,
            trades=trades,
            quantity=self.progress.quantity,
            filled_quantity=self.progress.filled_quantity,
            broker_order_id=self.broker_order_id,
            price=_text(self.terms.price),
            trigger_price=_text(self.terms.trigger_price),
            order_type=self.terms.order_type,
            validity=self.terms.validity,
            cancel_requested=self.cancel_requested,
            modify_requested=self.modify_requested,
            tag=self.tag if self._new_tag else None,
            evidence=self.evidence.show(),
        )
        self._seq += len(entered)
        self._new_tag = False
        await workflow.execute_local_activity_method(
            LedgerSteps.record_order, step, start_to_close_timeout=LEDGER_TIMEOUT, retry_policy=LEDGER_RETRY
        )

    def publish(self) -> None:
        """Show the state in Temporal: the search attribute, where it changed, and the current details."""
        if self._published is not self.state:
            workflow.upsert_search_attributes([ORDER_STATE.value_set(str(self.state))])
            self._published = self.state
        workflow.set_current_details(self.details())

    def details(self) -> str:
        average = self.progress.average_price
        lines = [
            f"**{self.state}**: {self.state.meaning}",
            # The run's static summary is not carried over when it continues as new.
            f"- order: {self.signal.summary} · {self.order.broker} · {self.signal.strategy_id}",
            f"- why: {self.reason}",
            f"- filled: {self.progress.filled_quantity}/{self.progress.quantity}"
            + (f" at {average}" if average else ""),
            f"- tag: {self.tag or 'none yet'} · broker order: {self.broker_order_id or 'none yet'}",
        ]
        lines += self.evidence.lines()
        lines += [f"- next: {self.next_step}"] if self.next_step else []
        lines += ["- a cancel is requested"] if self.cancel_requested else []
        lines += ["- a modification is requested"] if self.modify_requested else []
        return "\n".join(lines)

    @property
    def next_step(self) -> str:
        stuck = self.shown is not None and self.shown.status is BookStatus.PENDING
        return next_step(self.state, stuck=stuck)

    def status(self) -> OrderStatus:
        return OrderStatus(
            order_id=self.order.order_id,
            broker=self.order.broker,
            state=self.state,
            reason=self.reason,
            next_step=self.next_step,
            quantity=self.progress.quantity,
            filled_quantity=self.progress.filled_quantity,
            average_price=_text(self.progress.average_price),
            tag=self.tag,
            broker_order_id=self.broker_order_id,
            cancel_requested=self.cancel_requested,
            modify_requested=self.modify_requested,
            evidence=self.evidence.show(),
        )

    def snapshot(self) -> OrderSnapshot:
        """All that the next run of the same order needs. Only after a flush."""
        return OrderSnapshot(
            state=self.state,
            reason=self.reason,
            seq=self._seq,
            quantity=self.progress.quantity,
            filled_quantity=self.progress.filled_quantity,
            turnover=str(self.progress.turnover),
            trade_ids=tuple(sorted(self.progress.trade_ids)),
            tag=self.tag,
            broker_order_id=self.broker_order_id,
            is_exit=self.is_exit,
            attempt=self.attempt,
            cancel_requested=self.cancel_requested,
            modify_requested=self.modify_requested,
            terms=self.terms,
            replaced=self.evidence.replaced,
            base=self.progress.base,
            unplaced=self.progress.unplaced,
            refusal=self.progress.refusal,
            modifications=self.modifications,
            reprices=self.reprices,
            unfilled_since=self.unfilled_since,
        )

    def send_before(self, now: datetime) -> datetime:
        """The moment after which the broker's worker must not send it any more."""
        limit = now + timedelta(seconds=self.policy.send_within_s)
        # The signal reached the broker in time once; what replaces its order there is not late for that.
        expires = None if self.evidence.replaced else self.signal.expires_at
        return limit if expires is None else min(limit, expires)


def _progress(restored: OrderSnapshot | None, order: OrderInput) -> Progress:
    if restored is None:
        return Progress(OrderState.RECEIVED, order.signal.quantity)
    return Progress(
        restored.state,
        restored.quantity,
        restored.filled_quantity,
        Decimal(restored.turnover),
        frozenset(restored.trade_ids),
        restored.base,
        restored.unplaced,
        restored.refusal,
    )


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)
