"""The account's book: orders with their histories, trades, positions, and what is due later.

Every change goes through `put` and `fill`. They note what must be stored before a reply leaves, and what must be told
to tickers and postbacks.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from alphapanda.kitesim.ids import Numbers
from alphapanda.kitesim.orders import Job, JobKind, SimOrder, SimTrade, Status
from alphapanda.kitesim.portfolio import Portfolio

UPDATE = "UPDATE"
"""The status under which Kite tells of a change that leaves an order open."""

_TOLD = (Status.OPEN, Status.TRIGGER_PENDING, Status.COMPLETE, Status.CANCELLED, Status.REJECTED)


@dataclass(frozen=True, slots=True)
class Event:
    """An order as it was, and the status to tell it under."""

    order: SimOrder
    status: str


@dataclass(slots=True)
class Changes:
    """What happened since these were last taken."""

    orders: dict[str, SimOrder] = field(default_factory=dict)
    history: list[SimOrder] = field(default_factory=list)
    trades: list[SimTrade] = field(default_factory=list)
    jobs_changed: bool = False
    events: list[Event] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.orders or self.history or self.trades or self.jobs_changed)


class Book:
    def __init__(self) -> None:
        self.orders: dict[str, SimOrder] = {}
        self.histories: dict[str, list[SimOrder]] = defaultdict(list)
        self.trades: list[SimTrade] = []
        self.jobs: dict[int, Job] = {}
        self.numbers = Numbers()
        self.portfolio = Portfolio()
        self._resting: dict[str, dict[str, None]] = defaultdict(dict)
        self._open: dict[str, None] = {}
        self._changes = Changes()

    def put(self, order: SimOrder, *statuses: Status) -> SimOrder:
        """Store the order in each of the statuses in turn (none: as it is). Returns it in the last."""
        before = self.orders.get(order.order_id)
        for status in statuses or (order.status,):
            order = msgspec.structs.replace(order, status=status)
            self._remember(order)
        self._index(order)
        if order.status in _TOLD and (before is None or before.status is not order.status):
            self.tell(order, order.status)
        return order

    def tell(self, order: SimOrder, status: str = UPDATE) -> None:
        """Tell of a change, unless the order is invisible at this time."""
        if order.is_visible(order.exchange_update_timestamp or order.order_timestamp):
            self._changes.events.append(Event(order, status))

    def fill(self, order: SimOrder, quantity: int, price: Decimal, now: datetime, *, multiplier: int) -> SimOrder:
        """Book one execution at `price` rupees; a complete order becomes COMPLETE, whatever it was before."""
        trade = SimTrade(
            trade_id=self.numbers.trade_id(),
            order_id=order.order_id,
            exchange_order_id=order.exchange_order_id or "",
            exchange=order.exchange,
            tradingsymbol=order.tradingsymbol,
            instrument_token=order.instrument_token,
            product=order.product,
            transaction_type=order.transaction_type,
            quantity=quantity,
            price=price,
            placed_at=order.order_timestamp,
            traded_at=now,
        )
        self.trades.append(trade)
        self._changes.trades.append(trade)
        self.portfolio.add(trade, multiplier)
        filled = order.filled_quantity + quantity
        order = msgspec.structs.replace(
            order,
            filled_quantity=filled,
            filled_value=order.filled_value + price * quantity,
            cancelled_quantity=min(order.cancelled_quantity, order.quantity - filled),
            exchange_timestamp=now,
            exchange_update_timestamp=now,
        )
        if filled == order.quantity:
            return self.put(order, Status.COMPLETE)
        order = self.put(order)
        self.tell(order)
        return order

    def resting(self, key: str) -> list[SimOrder]:
        """The instrument's orders at the exchange, the oldest first."""
        return [self.orders[order_id] for order_id in sorted(self._resting.get(key, ()))]

    def open_orders(self) -> Iterator[SimOrder]:
        return (self.orders[order_id] for order_id in self._open)

    def later(
        self, now: datetime, seconds: float, kind: JobKind, *, order_id: str = "", doc: dict[str, str] | None = None
    ) -> None:
        due = now + timedelta(seconds=seconds)
        job = Job(job_id=self.numbers.job_id(), due=due, kind=kind, order_id=order_id, doc=doc or {})
        self.jobs[job.job_id] = job
        self._changes.jobs_changed = True

    def take_due(self, now: datetime) -> list[Job]:
        due = sorted((job for job in self.jobs.values() if job.due <= now), key=lambda job: (job.due, job.job_id))
        for job in due:
            del self.jobs[job.job_id]
        self._changes.jobs_changed |= bool(due)
        return due

    def next_due(self) -> datetime | None:
        return min((job.due for job in self.jobs.values()), default=None)

    def take_changes(self) -> Changes:
        taken, self._changes = self._changes, Changes()
        return taken

    def restore_order(self, order: SimOrder) -> None:
        """Read back one row of an order's history; the last one is the order as it stands."""
        self._remember(order, is_change=False)
        self._index(order)
        self.numbers.last = max(self.numbers.last, int(order.order_id))

    def restore_trade(self, trade: SimTrade, multiplier: int) -> None:
        self.trades.append(trade)
        self.portfolio.add(trade, multiplier)

    def _remember(self, order: SimOrder, *, is_change: bool = True) -> None:
        self.orders[order.order_id] = order
        self.histories[order.order_id].append(order)
        if is_change:
            self._changes.orders[order.order_id] = order
            self._changes.history.append(order)

    def _index(self, order: SimOrder) -> None:
        if order.status.is_at_exchange:
            self._resting[order.key][order.order_id] = None
        else:
            self._resting[order.key].pop(order.order_id, None)
        if order.status.is_terminal:
            self._open.pop(order.order_id, None)
        else:
            self._open[order.order_id] = None
