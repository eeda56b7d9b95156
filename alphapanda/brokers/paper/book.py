"""An account's book in memory, and drafts of changes to it. Pure.

`Book` is what the tables held at `version`. Commands never touch it: they write into a `Draft`, which reads through
to the book. A draft is applied only after the same changes landed in the tables; a draft that lost is thrown away.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

from alphapanda.brokers.paper.matching import Gate, tick_name
from alphapanda.brokers.paper.records import PaperOrder, PaperPosition, PaperTrade, PositionKey
from alphapanda.domain.ids import Broker
from alphapanda.domain.money import ZERO
from alphapanda.domain.vocabulary import Exchange, Product, SessionState
from alphapanda.live.quotes import Tick

_KEPT_TICKS = 512
"""Ticks per instrument whose taken volume is remembered; older ones are too old to match on long before."""


@dataclass(slots=True)
class Account:
    """The account's own row."""

    version: int
    cash: Decimal
    last_number: int
    armed_faults: dict[str, float]
    session: SessionState
    session_since: datetime


@dataclass(slots=True)
class Book:
    """Resting orders, positions and cash of one account. `blocked` sums the margins of both, in rupees."""

    broker: Broker
    account: Account
    orders: dict[str, PaperOrder] = field(default_factory=dict)
    by_instrument: dict[str, dict[str, PaperOrder]] = field(default_factory=dict)
    positions: dict[PositionKey, PaperPosition] = field(default_factory=dict)
    taken: dict[str, dict[str, int]] = field(default_factory=dict)
    blocked: Decimal = ZERO
    last_trade_id: str = ""
    _gates: dict[str, Gate] = field(default_factory=dict)

    def gate(self, key: str) -> Gate | None:
        """What a tick must reach to concern the instrument's resting orders; None when there are none."""
        resting = self.by_instrument.get(key)
        if resting is None:
            return None
        gate = self._gates.get(key)
        if gate is None:
            gate = self._gates[key] = Gate.of(resting.values())
        return gate

    def put_order(self, order: PaperOrder) -> None:
        known = self.orders.pop(order.broker_order_id, None)
        self.blocked -= _margin(known)
        resting = self.by_instrument.get(order.key, {})
        if order.is_resting:
            self.orders[order.broker_order_id] = order
            self.blocked += _margin(order)
            resting[order.broker_order_id] = order
            self.by_instrument[order.key] = resting
        elif resting.pop(order.broker_order_id, None) is not None and not resting:
            del self.by_instrument[order.key]
        self._gates.pop(order.key, None)

    def put_position(self, position: PaperPosition) -> None:
        key = (position.exchange, position.tradingsymbol, position.product)
        known = self.positions.get(key)
        self.blocked += position.margin - (known.margin if known else ZERO)
        self.positions[key] = position

    def take(self, key: str, tick: str, quantity: int) -> None:
        ticks = self.taken.setdefault(key, {})
        ticks[tick] = ticks.get(tick, 0) + quantity
        if len(ticks) > _KEPT_TICKS:
            del ticks[next(iter(ticks))]

    def apply(self, draft: "Draft", version: int) -> None:
        """Make a draft that has landed in the tables part of the book."""
        self.account.version = version
        self.account.cash = draft.cash
        self.account.last_number = draft.last_number
        self.account.armed_faults = draft.armed_faults
        for order in draft.orders.values():
            self.put_order(order)
        for position in draft.positions.values():
            self.put_position(position)
        for trade in draft.trades:
            self.take(trade.key, trade.tick, trade.quantity)
            self.last_trade_id = trade.trade_id


class Draft:
    """Changes to a book, not made yet. `changed` tells whether there are any."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self.broker = book.broker
        self.session = book.account.session
        self.cash = book.account.cash
        self.last_number = book.account.last_number
        self.armed_faults = book.account.armed_faults
        self.blocked = book.blocked
        self.orders: dict[str, PaperOrder] = {}
        self.positions: dict[PositionKey, PaperPosition] = {}
        self.trades: list[PaperTrade] = []
        self._trades_of: dict[str, tuple[PaperTrade, ...]] = {}
        self._taken: Counter[tuple[str, str]] = Counter()
        self._orders_of: dict[str, dict[str, PaperOrder]] = {}

    @property
    def changed(self) -> bool:
        return bool(self.orders) or self.armed_faults is not self._book.account.armed_faults

    @property
    def available(self) -> Decimal:
        """Rupees free for new orders."""
        return self.cash - self.blocked

    def order(self, broker_order_id: str) -> PaperOrder | None:
        """The order as changed here, else as it rests in the book; None when it does neither."""
        return self.orders.get(broker_order_id) or self._book.orders.get(broker_order_id)

    def resting(self, key: str) -> list[PaperOrder]:
        """The instrument's resting orders, oldest first within the book and the draft."""
        ours = self._orders_of.get(key)
        book = self._book.by_instrument.get(key)
        if ours is None:
            return list(book.values()) if book else []
        merged = {**book, **ours} if book else ours
        return [order for order in merged.values() if order.is_resting]

    def expired(self, now: datetime) -> Iterable[PaperOrder]:
        return [
            order
            for order in (self.order(known) for known in self._book.orders)
            if order is not None and order.is_resting and order.expires_at <= now
        ]

    def put(self, order: PaperOrder) -> PaperOrder:
        known = self.order(order.broker_order_id)
        self.blocked += (_margin(order) if order.is_resting else ZERO) - (
            _margin(known) if known is not None and known.is_resting else ZERO
        )
        self.orders[order.broker_order_id] = order
        self._orders_of.setdefault(order.key, {})[order.broker_order_id] = order
        return order

    def position(self, exchange: Exchange, tradingsymbol: str, product: Product) -> PaperPosition:
        key = (exchange, tradingsymbol, product)
        found = self.positions.get(key) or self._book.positions.get(key)
        return found or PaperPosition(exchange=exchange, tradingsymbol=tradingsymbol, product=product)

    def put_position(self, position: PaperPosition) -> None:
        known = self.position(position.exchange, position.tradingsymbol, position.product)
        self.blocked += position.margin - known.margin
        self.positions[position.exchange, position.tradingsymbol, position.product] = position

    def taken(self, key: str, tick: Tick) -> int:
        """How much of the tick's volume our orders have taken already."""
        name = tick_name(tick)
        return self._book.taken.get(key, {}).get(name, 0) + self._taken[key, name]

    def add_trade(self, trade: PaperTrade) -> None:
        self.trades.append(trade)
        self._trades_of[trade.broker_order_id] = (*self.trades_of(trade.broker_order_id), trade)
        self._taken[trade.key, trade.tick] += trade.quantity

    def trades_of(self, broker_order_id: str) -> tuple[PaperTrade, ...]:
        """The order's trades made in this draft."""
        return self._trades_of.get(broker_order_id, ())

    def next_id(self, day: date) -> str:
        """A new order or trade id: 16 digits, sortable; unique because a draft lands only on the version it read."""
        self.last_number += 1
        return f"{day:%y%m%d}{self.last_number:010d}"

    def consume_fault(self, fault: str) -> bool:
        """Whether the fault was armed; if so, once less now."""
        count = self.armed_faults.get(fault, 0)
        if count < 1:
            return False
        self.armed_faults = {**self.armed_faults, fault: count - 1}
        return True


def _margin(order: PaperOrder | None) -> Decimal:
    return ZERO if order is None or order.margin is None else order.margin
