"""The desk's books in memory: orders with their states, positions by strategy, what is reserved, the day's result.

What the ledger keeps for the live desk, by the same pure parts: transitions, tracking, positions at average cost.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal

from alphapanda.brokers.paper.records import PaperOrder, PaperTrade
from alphapanda.brokers.paper.reports import order_report
from alphapanda.domain.calendar import trading_date
from alphapanda.domain.ids import Broker, OrderId, Tag, order_id, order_tag, order_workflow_id
from alphapanda.domain.money import ZERO
from alphapanda.domain.positions import Position
from alphapanda.domain.reasons import Reason, ReasonCode, reason
from alphapanda.domain.signal import Signal
from alphapanda.domain.states import NEVER_SENT, TERMINAL, OrderState, check_transition
from alphapanda.domain.tracking import Progress, observe
from alphapanda.domain.vocabulary import Product, SessionState, Side, TradingSwitch
from alphapanda.risk.book import Book
from alphapanda.risk.clearance import Verdict

PositionOf = tuple[str, str, Product]
"""Strategy, instrument (`NSE:INFY`), product."""


@dataclass(slots=True, eq=False)
class OrderRecord:
    """One order, as the API would show it. `reserved` is the quantity still promised to it."""

    order_id: OrderId
    signal: Signal
    created_at: datetime
    updated_at: datetime
    progress: Progress
    why: Reason
    tag: Tag | None = None
    broker_order_id: str | None = None
    is_exit: bool = False
    reserved: int = 0

    @property
    def state(self) -> OrderState:
        return self.progress.state


@dataclass(frozen=True, slots=True)
class FillRecord:
    """One trade of an order; `realised` is what it closed at a profit for its strategy, before charges."""

    order: OrderRecord
    trade: PaperTrade
    realised: Decimal


@dataclass(slots=True)
class Holding:
    """All strategies' and products' open quantity of one instrument, with the signed rupees paid for it."""

    quantity: int = 0
    cost: Decimal = ZERO


@dataclass(slots=True)
class Desk:
    """`duplicate_window` as in the limits; zero switches the rule's count off."""

    broker: Broker
    duplicate_window: timedelta
    orders: dict[OrderId, OrderRecord] = field(default_factory=dict)
    fills: list[FillRecord] = field(default_factory=list)
    positions: dict[PositionOf, Position] = field(default_factory=dict)
    open: dict[str, Holding] = field(default_factory=dict)
    realised: Decimal = ZERO
    charges: Decimal = ZERO
    _by_broker_id: dict[str, OrderRecord] = field(default_factory=dict)
    _net: dict[tuple[str, Product], int] = field(default_factory=dict)
    _net_all: dict[str, int] = field(default_factory=dict)
    _promised: dict[str, dict[OrderId, OrderRecord]] = field(default_factory=dict)
    _recent: dict[tuple[str, str, Side, int], deque[OrderRecord]] = field(default_factory=dict)
    _day: date = date.min
    _day_result: Decimal = ZERO

    def accept(self, signal: Signal, now: datetime) -> OrderRecord | None:
        """A new order in RECEIVED; None where the signal's id came before, which makes no second order."""
        number = order_id(self.broker, signal.signal_id)
        if number in self.orders:
            return None
        progress = Progress(OrderState.RECEIVED, signal.quantity)
        order = OrderRecord(number, signal, now, now, progress, reason(ReasonCode.SIGNAL_ACCEPTED))
        self.orders[number] = order
        if self.duplicate_window:
            self._recent.setdefault(_intent(signal), deque()).append(order)
        return order

    def book_for(self, order: OrderRecord, now: datetime, unrealised: Decimal) -> Book:
        """What the risk rules look at, without the order's own reservation."""
        signal = order.signal
        key = signal.instrument
        buys = sells = exits = 0
        for number, other in self._promised.get(key, {}).items():
            if number == order.order_id:
                continue
            if other.signal.side is Side.BUY:
                buys += other.reserved
            else:
                sells += other.reserved
            if other.is_exit and other.signal.side is signal.side and other.signal.product is signal.product:
                exits += other.reserved
        return Book(
            session=SessionState.ACTIVE,
            switch=TradingSwitch.ENABLED,
            position=self._net.get((key, signal.product), 0),
            position_all_products=self._net_all.get(key, 0),
            reserved_buys=buys,
            reserved_sells=sells,
            reserved_exits=exits,
            day_result=(self._day_result if self._day == trading_date(now) else ZERO) + unrealised,
            recent_twins=self._twins(order, now) if self.duplicate_window else 0,
        )

    def unrealised(self, prices: Mapping[str, Decimal]) -> Decimal:
        """Rupees the open positions gained, over those whose price is known."""
        return sum((held.quantity * prices[key] - held.cost for key, held in self.open.items() if key in prices), ZERO)

    def judge(self, order: OrderRecord, verdict: Verdict, now: datetime) -> None:
        """Enter the verdict's states; reserve where it says so, release where the order ended."""
        for state, why in verdict.steps:
            self.enter(order, state, why, now)
        if verdict.reserve:
            order.is_exit = verdict.is_exit
            order.tag = order_tag(order_workflow_id(self.broker, order.signal.signal_id))
            order.reserved = order.signal.quantity
            self._promised.setdefault(order.signal.instrument, {})[order.order_id] = order

    def enter(self, order: OrderRecord, state: OrderState, why: Reason, now: datetime) -> None:
        check_transition(order.state, state)
        order.progress = _in_state(order.progress, state)
        order.why, order.updated_at = why, now
        if state in TERMINAL:
            self._release(order)

    def observe(
        self, row: PaperOrder, trades: tuple[PaperTrade, ...], now: datetime, placed: OrderRecord | None = None
    ) -> list[FillRecord]:
        """Take what the exchange's book says of an order; `placed` names the order at the first sight of its row."""
        order = placed or self._by_broker_id[row.broker_order_id]
        if placed is not None:
            order.broker_order_id = row.broker_order_id
            self._by_broker_id[row.broker_order_id] = order
        observed = observe(order.progress, order_report(row, trades))
        order.progress, order.updated_at = observed.progress, now
        if observed.entered:
            order.why = observed.entered[-1][1]
        filled = [self._book(order, trade) for trade in trades]
        order.reserved = max(order.progress.remaining, 0)
        if order.state in TERMINAL:
            self._release(order)
        return filled

    def _book(self, order: OrderRecord, trade: PaperTrade) -> FillRecord:
        key = trade.key
        signed = trade.side.sign * trade.quantity
        whose = (order.signal.strategy_id, key, trade.product)
        before = self.positions.get(whose, Position())
        after = self.positions[whose] = before.after_trade(signed, trade.price)
        realised = after.realised - before.realised
        net = (key, trade.product)
        self._net[net] = self._net.get(net, 0) + signed
        self._net_all[key] = self._net_all.get(key, 0) + signed
        held = self.open.setdefault(key, Holding())
        held.quantity += signed
        held.cost += after.cost - before.cost
        if not held.quantity and not held.cost:
            del self.open[key]
        day = trading_date(trade.traded_at)
        if day != self._day:
            self._day, self._day_result = day, ZERO
        self._day_result += realised - trade.charges
        self.realised += realised
        self.charges += trade.charges
        fill = FillRecord(order, trade, realised)
        self.fills.append(fill)
        return fill

    def _release(self, order: OrderRecord) -> None:
        order.reserved = 0
        promised = self._promised.get(order.signal.instrument)
        if promised is not None and promised.pop(order.order_id, None) is not None and not promised:
            del self._promised[order.signal.instrument]

    def _twins(self, order: OrderRecord, now: datetime) -> int:
        recent = self._recent[_intent(order.signal)]
        while recent and recent[0].created_at <= now - self.duplicate_window:
            recent.popleft()
        return sum(other is not order and other.state not in NEVER_SENT for other in recent)


def _intent(signal: Signal) -> tuple[str, str, Side, int]:
    return signal.strategy_id, signal.instrument, signal.side, signal.quantity


def _in_state(progress: Progress, state: OrderState) -> Progress:
    return Progress(state, progress.quantity, progress.filled_quantity, progress.turnover, progress.trade_ids)
