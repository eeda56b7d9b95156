"""What travels between workflows, activities and callers. All of it is kept in workflow history: no secrets."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from alphapanda.domain.evidence import Evidence, Replaced
from alphapanda.domain.execution import OrderChange, OrderReport, OrderRequest, TradeReport
from alphapanda.domain.ids import Broker, OrderId, Tag, WorkflowId
from alphapanda.domain.reasons import Reason
from alphapanda.domain.signal import OrderTerms, Signal
from alphapanda.domain.states import OrderState
from alphapanda.domain.vocabulary import OrderType, SessionState, TradingSwitch, UnfilledMarket, Validity

Actor = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f]+$")]


class Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Entered(Message):
    """A state entered: why, and by whom (`workflow`, `broker`, or a person's name)."""

    state: OrderState
    reason: Reason
    actor: Actor = "workflow"


# --- OrderWorkflow ---------------------------------------------------------------------------------------------


class OrderPolicy(Message):
    """Timings and choices of one order, fixed at its start. Seconds."""

    quote_wait_s: float = 10.0
    approval_timeout_s: float = 900.0
    submit_timeout_s: float = 30.0
    send_within_s: float = 300.0
    poll_interval_s: float = 60.0
    resolve_interval_s: float = 2.0
    resolve_timeout_s: float = 300.0
    resend_when_absent: bool = False
    absent_after_s: float = 0.0
    late_fill_watch_s: float = 30.0
    unfilled_market: UnfilledMarket = UnfilledMarket.WAIT
    unfilled_market_after_s: float = 30.0
    unfilled_market_reprices: int = 3


class OrderSnapshot(Message):
    """All an OrderWorkflow must remember across a continue-as-new."""

    state: OrderState
    reason: Reason
    seq: int
    quantity: int
    filled_quantity: int = 0
    turnover: str = "0"
    trade_ids: tuple[str, ...] = ()
    tag: Tag | None = None
    broker_order_id: str | None = None
    is_exit: bool = False
    attempt: int = 0
    cancel_requested: bool = False
    modify_requested: bool = False
    terms: OrderTerms | None = None
    replaced: tuple[Replaced, ...] = ()
    base: int = 0
    unplaced: int = 0
    refusal: str = ""
    modifications: int = 0
    reprices: int = 0
    unfilled_since: AwareDatetime | None = None


class OrderInput(Message):
    signal: Signal
    broker: Broker
    order_id: OrderId
    correlation_id: str
    policy: OrderPolicy
    seq: int = 1
    resumed: OrderSnapshot | None = None


class OrderStatus(Message):
    """The answer of the `status` query, of every update and of the workflow itself. `next_step` is for people."""

    order_id: OrderId
    broker: Broker
    state: OrderState
    reason: Reason
    next_step: str
    quantity: int
    filled_quantity: int
    average_price: str | None
    tag: Tag | None
    broker_order_id: str | None
    cancel_requested: bool
    modify_requested: bool
    evidence: Evidence | None = None
    """Where its outcome is or was in doubt, or it was replaced at the broker."""


class CancelCommand(Message):
    actor: Actor


class ModifyCommand(Message):
    actor: Actor
    change: OrderChange


class ApproveCommand(Message):
    actor: Actor


class DenyCommand(Message):
    actor: Actor
    note: str = Field(default="", max_length=500)


class ResolveCommand(Message):
    """A person's verdict on a PARKED order.

    `state`: OPEN, PARTIALLY_FILLED or FILLED (it is at the broker: the book is read, under `broker_order_id` where
    given), REJECTED, CANCELLED or FAILED (it is not), SUBMITTING (send it again with the same tag).
    """

    actor: Actor
    state: OrderState
    broker_order_id: str | None = Field(default=None, max_length=100)
    note: str = Field(default="", max_length=500)


AT_THE_BROKER = frozenset({OrderState.OPEN, OrderState.PARTIALLY_FILLED, OrderState.FILLED})
NOT_AT_THE_BROKER = frozenset({OrderState.REJECTED, OrderState.CANCELLED, OrderState.FAILED})
RESOLUTIONS = AT_THE_BROKER | NOT_AT_THE_BROKER | {OrderState.SUBMITTING}

# --- ledger steps (local activities) ---------------------------------------------------------------------------


class CheckInput(Message):
    """Clear an order for sending. `seq` is the last event the workflow knows; a rerun returns what was recorded."""

    order_id: OrderId
    broker: Broker
    signal: Signal
    correlation_id: str
    state: OrderState
    seq: int
    not_before: AwareDatetime
    """The workflow's clock: a worker whose own clock is behind must not judge by an earlier moment."""
    approved_by: Actor | None = None
    reserved_exit: bool = False
    patient: bool = False


class CheckResult(Message):
    """The states entered. The last is SUBMITTING (go), a state to wait in, or an end.

    `wait_until` is the next market open when AWAITING_MARKET. `needs_quote` asks to check again soon: the order stays
    VALIDATED because no fresh quote is known yet.
    """

    entered: tuple[Entered, ...]
    seq: int
    tag: Tag | None = None
    is_exit: bool = False
    wait_until: AwareDatetime | None = None
    needs_quote: bool = False
    session_since: AwareDatetime | None = None
    """Since when the session is as the verdict found it: what a login has to be later than to wake the order."""


class RecordInput(Message):
    """Append what happened to an order and book its trades, in one transaction. `seq` is the last number before it."""

    order_id: OrderId
    broker: Broker
    correlation_id: str
    seq: int
    entered: tuple[Entered, ...] = ()
    trades: tuple[TradeReport, ...] = ()
    quantity: int
    filled_quantity: int
    broker_order_id: str | None = None
    order_type: OrderType
    validity: Validity
    price: str | None = None
    trigger_price: str | None = None
    cancel_requested: bool = False
    modify_requested: bool = False
    tag: Tag | None = None
    """Given where it changes: the order is placed anew."""
    evidence: Evidence | None = None


class ChangeInput(Message):
    order_id: OrderId
    broker: Broker
    signal: Signal
    filled_quantity: int
    change: OrderChange


class ChangeResult(Message):
    """`refusal` is None when the change holds: `terms` are then the order's new ones, with their exposure reserved."""

    refusal: Reason | None = None
    terms: OrderTerms | None = None


# --- broker calls (remote activities) --------------------------------------------------------------------------


class CallOutcome(StrEnum):
    """How a broker call ended. Only DONE and AMBIGUOUS may have had an effect."""

    DONE = "DONE"
    REJECTED = "REJECTED"
    NOT_AUTHENTICATED = "NOT_AUTHENTICATED"
    NOT_PERMITTED = "NOT_PERMITTED"
    RATE_LIMITED = "RATE_LIMITED"
    UNAVAILABLE = "UNAVAILABLE"
    AMBIGUOUS = "AMBIGUOUS"
    WITHHELD = "WITHHELD"
    """Not sent by our own last check: a halt, or the deadline had passed."""


class SubmitInput(Message):
    request: OrderRequest
    is_exit: bool
    send_before: AwareDatetime
    correlation_id: str
    read_book_first: bool = False
    """Set on every attempt after the first: the tag may already be in the book."""


class BrokerOrderInput(Message):
    broker: Broker
    order_id: OrderId
    correlation_id: str
    tag: Tag
    broker_order_id: str | None = None
    change: OrderChange | None = None
    is_exit: bool = False


class CallResult(Message):
    """`report` is the book's row where it was read; for a look-up, DONE without one means: not in the book."""

    outcome: CallOutcome
    message: str = ""
    broker_order_id: str | None = None
    report: OrderReport | None = None
    retry_after_s: float = 1.0
    withheld: Reason | None = None
    lost_at: AwareDatetime | None = None
    """When the call began that found the session dead; NOT_AUTHENTICATED only. A login since made a newer session."""


# --- BrokerWorkflow --------------------------------------------------------------------------------------------


class WaitingOrder(Message):
    """An order that waits for a login. `lost_at` is when the call began that found the session dead."""

    workflow_id: WorkflowId
    is_exit: bool
    lost_at: AwareDatetime


class BrokerInput(Message):
    broker: Broker
    session: SessionState = SessionState.UNKNOWN
    session_since: AwareDatetime | None = None
    switch: TradingSwitch = TradingSwitch.ENABLED
    waiting: tuple[WaitingOrder, ...] = ()


class BrokerStatus(Message):
    broker: Broker
    session: SessionState
    session_since: AwareDatetime | None
    switch: TradingSwitch
    waiting_orders: int | None
    """None where only the ledger could be asked."""


class SwitchCommand(Message):
    actor: Actor
    reason: str = Field(default="", max_length=500)


class SessionCommand(Message):
    """The session was opened, or lost (`state` says how). `at` is when that was seen; None: now.

    What was seen before the session changed last is old news and changes nothing.
    """

    actor: Actor
    detail: str = Field(default="", max_length=500)
    at: AwareDatetime | None = None
    state: Literal[SessionState.EXPIRED, SessionState.LOGIN_REQUIRED] = SessionState.EXPIRED


class SwitchInput(Message):
    broker: Broker
    switch: TradingSwitch
    actor: Actor
    reason: str


class SessionInput(Message):
    broker: Broker
    session: SessionState
    actor: Actor
    detail: str
    at: AwareDatetime | None = None
