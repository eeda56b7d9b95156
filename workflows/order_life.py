"""What an OrderWorkflow knows of its order, and the one way in which it changes.

A state is entered through `enter`, `observe` or `adopt`, checked against the table, and written to the ledger by
`flush`: everything that happened between two waits goes into one transaction.
"""

from datetime import datetime, timedelta
from decimal import Decimal

from temporalio import workflow
from temporalio.common import RetryPolicy, SearchAttributeKey

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
    from alphapanda.domain.execution import OrderReport, TradeReport
    from alphapanda.domain.reasons import Reason, ReasonCode, reason
    from alphapanda.domain.signal import OrderTerms, Signal
    from alphapanda.domain.states import TERMINAL, OrderState, check_transition
    from alphapanda.domain.tracking import Progress, observe

ORDER_STATE = SearchAttributeKey.for_keyword("OrderState")

LEDGER_TIMEOUT = timedelta(seconds=10)
LEDGER_RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=200), backoff_coefficient=2, maximum_interval=timedelta(seconds=10)
)

# fmt: off
_NEXT_STEPS: dict[OrderState, str] = {
    OrderState.RECEIVED:          "It is checked next; a worker on the `orders` queue does that.",
    OrderState.VALIDATED:         "It waits for a fresh quote, then risk is checked.",
    OrderState.AWAITING_APPROVAL: "Approve or deny it.",
    OrderState.AWAITING_MARKET:   "It goes on by itself when the market opens; cancel it if it should not.",
    OrderState.APPROVED:          "It is sent next.",
    OrderState.AWAITING_AUTH:     "Log in to the broker: it then goes on by itself.",
    OrderState.SUBMITTING:        "The broker's worker sends it and reports back.",
    OrderState.UNKNOWN:           "The broker's order book is being searched for its tag; nothing is sent again.",
    OrderState.PARKED:            "Look into the broker's order book, then `resolve` it.",
    OrderState.OPEN:              "It rests at the broker until it fills, expires, or is modified or cancelled.",
    OrderState.PARTIALLY_FILLED:  "The rest works at the broker until it fills, expires or is cancelled.",
    OrderState.FAILED:            "Read the reason, correct its cause, then `retry` it.",
}
# fmt: on


def next_step(state: OrderState) -> str:
    """What happens next to an order in this state, or what a person can do, in one sentence."""
    return _NEXT_STEPS.get(state, "Nothing: it has ended.")


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
        self._seq = restored.seq if restored else order.seq
        self._published = self.state
        self._pending: list[Entered] = []
        self._trades: list[TradeReport] = []
        self._dirty = False

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
        self.broker_order_id = report.broker_order_id
        seen = observe(self.progress, report)
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
        self.progress = Progress(
            state,
            self.progress.quantity,
            self.progress.filled_quantity,
            self.progress.turnover,
            self.progress.trade_ids,
        )

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
        )
        self._seq += len(entered)
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
        lines += [f"- next: {self.next_step}"] if self.next_step else []
        lines += ["- a cancel is requested"] if self.cancel_requested else []
        lines += ["- a modification is requested"] if self.modify_requested else []
        return "\n".join(lines)

    @property
    def next_step(self) -> str:
        return next_step(self.state)

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
        )

    def send_before(self, now: datetime) -> datetime:
        """The moment after which the broker's worker must not send it any more."""
        limit = now + timedelta(seconds=self.policy.send_within_s)
        expires = self.signal.expires_at
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
    )


def _text(value: Decimal | None) -> str | None:
    return None if value is None else str(value)
