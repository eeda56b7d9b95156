"""Tracking: what a report from the broker's book means for an order. Pure: progress + report -> observation.

Invariants: `filled_quantity` never decreases; a trade counts once by its id; the order of arrival does not matter;
an ended order absorbs everything but a fill.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from decimal import Decimal

from alphapanda.domain.execution import BookStatus, OrderReport, TradeReport
from alphapanda.domain.money import average_price
from alphapanda.domain.reasons import Reason, ReasonCode, reason
from alphapanda.domain.states import TERMINAL, OrderState, path_to


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an order has come: its state, total and filled quantity, and the trades already counted.

    `base` is the part filled by earlier orders at the broker that the present one has replaced. `unplaced` is what
    the broker refused when it sliced the order, and `refusal` why.
    """

    state: OrderState
    quantity: int
    filled_quantity: int = 0
    turnover: Decimal = Decimal(0)
    trade_ids: frozenset[str] = frozenset()
    base: int = 0
    unplaced: int = 0
    refusal: str = ""

    @property
    def rest_was_refused(self) -> bool:
        """Whether nothing can be filled any more but what was never placed."""
        return self.unplaced > 0 and self.filled_quantity + self.unplaced >= self.quantity

    @property
    def average_price(self) -> Decimal | None:
        return average_price(self.turnover, self.filled_quantity)

    @property
    def remaining(self) -> int:
        return self.quantity - self.filled_quantity


@dataclass(frozen=True, slots=True)
class Observation:
    """The outcome of reading one report: new progress, the trades to book, and the states entered, with reasons."""

    progress: Progress
    new_trades: tuple[TradeReport, ...] = ()
    entered: tuple[tuple[OrderState, Reason], ...] = field(default=())

    @property
    def changed(self) -> bool:
        return bool(self.new_trades or self.entered)


def unseen_trades(seen: frozenset[str], trades: Iterable[TradeReport]) -> tuple[TradeReport, ...]:
    """Trades not counted yet, each id once, oldest first."""
    fresh = {trade.trade_id: trade for trade in trades if trade.trade_id not in seen}
    return tuple(sorted(fresh.values(), key=lambda trade: (trade.traded_at, trade.trade_id)))


def observe(progress: Progress, report: OrderReport) -> Observation:
    """Read one report of the order's own row (or rows). Never raises on late, repeated or reordered reports."""
    new = unseen_trades(progress.trade_ids, report.trades or ())
    counted = remember_unplaced(_counted(progress, new), report)
    shown = progress.base + report.quantity
    if not report.whole or counted.unplaced:
        # Rows may be missing, or were never placed: what is shown is no smaller order than was asked for.
        shown = max(shown, progress.quantity)
    counted = replace(counted, quantity=max(shown, counted.filled_quantity, 1))
    target = _state_after(progress.state, counted, report, late_fill=bool(new))
    entered = tuple(
        (state, _why(state, counted, report, was=progress.state)) for state in path_to(progress.state, target)
    )
    return Observation(progress=replace(counted, state=target), new_trades=new, entered=entered)


def remember_unplaced(progress: Progress, report: OrderReport) -> Progress:
    """What the broker said it refused while it sliced the order: only the placing's own answer tells, so it is kept."""
    if report.unplaced_quantity <= progress.unplaced:
        return progress
    return replace(progress, unplaced=report.unplaced_quantity, refusal=report.message)


def observe_replaced(progress: Progress, report: OrderReport) -> Observation:
    """Read a report of an order whose place the present one has taken: only fills matter that were not known yet.

    They come on top of what the present order may still fill, which is not smaller for them.
    """
    new = unseen_trades(progress.trade_ids, report.trades or ())
    if not new:
        return Observation(progress=progress)
    late = sum(trade.quantity for trade in new)
    counted = replace(_counted(progress, new), base=progress.base + late)
    if progress.state in TERMINAL:
        counted = replace(counted, quantity=max(progress.quantity, counted.filled_quantity))
        full = counted.filled_quantity >= counted.quantity and progress.state in _CAN_FILL
        target = OrderState.FILLED if full else progress.state
    else:
        counted = replace(counted, quantity=progress.quantity + late)
        target = OrderState.PARTIALLY_FILLED if progress.state is OrderState.OPEN else progress.state
    why = reason(ReasonCode.BROKER_LATE_FILL, was="replaced", filled=f"{counted.filled_quantity}/{counted.quantity}")
    entered = tuple((state, why) for state in path_to(progress.state, target))
    return Observation(progress=replace(counted, state=target), new_trades=new, entered=entered)


def _counted(progress: Progress, new: tuple[TradeReport, ...]) -> Progress:
    return replace(
        progress,
        filled_quantity=progress.filled_quantity + sum(trade.quantity for trade in new),
        turnover=progress.turnover + sum((trade.price * trade.quantity for trade in new), Decimal(0)),
        trade_ids=progress.trade_ids | {trade.trade_id for trade in new},
    )


def _state_after(current: OrderState, counted: Progress, report: OrderReport, *, late_fill: bool) -> OrderState:
    """The state the book implies. Fills come from trades: COMPLETE without all its trades is still working."""
    if counted.filled_quantity >= counted.quantity:
        return OrderState.FILLED if current in _CAN_FILL else current
    if current in TERMINAL:
        return _state_of_an_ended_order(current, report, late_fill=late_fill)
    if report.status.is_final and counted.rest_was_refused:
        return OrderState.CANCELLED if counted.filled_quantity else OrderState.REJECTED
    match report.status:
        case BookStatus.CANCELLED:
            return OrderState.CANCELLED
        case BookStatus.EXPIRED:
            return OrderState.EXPIRED
        case BookStatus.REJECTED:
            # Brokers "reject" the rest of a part-filled order; what was filled stays filled.
            return OrderState.CANCELLED if counted.filled_quantity else OrderState.REJECTED
        case BookStatus.PENDING | BookStatus.OPEN | BookStatus.TRIGGER_PENDING | BookStatus.COMPLETE:
            return OrderState.PARTIALLY_FILLED if counted.filled_quantity else OrderState.OPEN


_CAN_FILL = frozenset(OrderState) - {
    OrderState.REJECTED, OrderState.INVALID, OrderState.DENIED, OrderState.FAILED
}  # fmt: skip


def _state_of_an_ended_order(current: OrderState, report: OrderReport, *, late_fill: bool) -> OrderState:
    """Only a fill wakes an ended order, and only where the book shows it working again."""
    reopened = current in (OrderState.CANCELLED, OrderState.EXPIRED) and not report.status.is_final
    return OrderState.PARTIALLY_FILLED if reopened and late_fill else current


def _why(state: OrderState, counted: Progress, report: OrderReport, *, was: OrderState) -> Reason:
    fills = f"{counted.filled_quantity}/{counted.quantity}"
    if was in TERMINAL:
        return reason(ReasonCode.BROKER_LATE_FILL, was=was, filled=fills)
    if state in (OrderState.CANCELLED, OrderState.REJECTED) and counted.rest_was_refused:
        return slices_refused(counted)
    match state:
        case OrderState.FILLED:
            return reason(ReasonCode.BROKER_FILLED, filled=fills, average=counted.average_price)
        case OrderState.PARTIALLY_FILLED:
            return reason(ReasonCode.BROKER_PARTIAL_FILL, filled=fills, **_unplaced(report))
        case OrderState.CANCELLED:
            return reason(ReasonCode.BROKER_CANCELLED, filled=fills, **_said(report))
        case OrderState.EXPIRED:
            return reason(ReasonCode.BROKER_EXPIRED, filled=fills, **_said(report))
        case OrderState.REJECTED:
            return reason(ReasonCode.BROKER_REJECTED, **_said(report))
        case _:
            return reason(ReasonCode.BROKER_ACCEPTED, status=report.status, **_unplaced(report), **_said(report))


def slices_refused(progress: Progress) -> Reason:
    facts = {"message": progress.refusal} if progress.refusal else {}
    filled = f"{progress.filled_quantity}/{progress.quantity}"
    return reason(ReasonCode.BROKER_SLICES_REFUSED, filled=filled, unplaced=progress.unplaced, **facts)


def _unplaced(report: OrderReport) -> dict[str, int]:
    return {"unplaced": report.unplaced_quantity} if report.unplaced_quantity else {}


def _said(report: OrderReport) -> dict[str, str]:
    return {"message": report.message} if report.message else {}
