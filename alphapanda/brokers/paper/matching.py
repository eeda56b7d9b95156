"""Matching one order against one tick: whether, at what price, how much. Pure and exact.

| order | matches when | at |
|---|---|---|
| MARKET, triggered SL-M | always | the price met, plus slippage against the taker |
| LIMIT arriving, SL at its trigger | the price met is at the limit or better | the price met |
| LIMIT resting | the price met or the last trade reaches the limit | the limit |

The "price met" is the other side's quote where the tick has depth, else the last trade. A resting limit has waited
in the queue, so it trades at its own price however far the market runs through it. Stops trigger on the last trade.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from alphapanda.brokers.paper.records import PaperOrder
from alphapanda.domain.execution import BookStatus
from alphapanda.domain.instrument import Instrument
from alphapanda.domain.money import Price
from alphapanda.domain.vocabulary import Side
from alphapanda.live.quotes import Tick, exact

_BPS = Decimal("0.0001")
_NEVER_BELOW, _NEVER_ABOVE = float("-inf"), float("inf")
_EPSILON = 1e-6
"""The gate compares floats; it may let a tick through for nothing but never hold one back."""


@dataclass(frozen=True, slots=True)
class Market:
    """A tick's prices in exact rupees."""

    last: Price
    bid: Price | None = None
    ask: Price | None = None

    @classmethod
    def of(cls, tick: Tick) -> "Market":
        return cls(
            last=exact(tick.last_price),
            bid=None if tick.bid is None else exact(tick.bid),
            ask=None if tick.ask is None else exact(tick.ask),
        )

    def met_by(self, side: Side) -> Price:
        """What a taker of this side meets."""
        opposite = self.ask if side is Side.BUY else self.bid
        return self.last if opposite is None else opposite


def on_grid(price: Decimal, side: Side, instrument: Instrument) -> Price:
    """The nearest price on the tick grid that is no better for the taker, kept inside the day's circuit limits."""
    rounding = ROUND_CEILING if side is Side.BUY else ROUND_FLOOR
    ticks = max((price / instrument.tick_size).to_integral_value(rounding), Decimal(1))
    found = ticks * instrument.tick_size
    if instrument.upper_circuit is not None and found > instrument.upper_circuit:
        found = instrument.upper_circuit
    if instrument.lower_circuit is not None and found < instrument.lower_circuit:
        found = instrument.lower_circuit
    return Price(found)


def is_triggered(side: Side, trigger: Decimal, last: Decimal) -> bool:
    """A buy stop triggers on the way up, a sell stop on the way down; touching is enough."""
    return last >= trigger if side is Side.BUY else last <= trigger


def reaches(side: Side, price: Decimal, limit: Decimal) -> bool:
    """Whether `price` is at the limit or better for an order of this side."""
    return price <= limit if side is Side.BUY else price >= limit


def market_price(side: Side, market: Market, instrument: Instrument, slippage_bps: Decimal) -> Price:
    """What an order without a limit pays (or gets)."""
    met = market.met_by(side)
    return on_grid(met + met * slippage_bps * _BPS * side.sign, side, instrument)


def fill_price(
    order: PaperOrder, market: Market, instrument: Instrument, *, slippage_bps: Decimal, arriving: bool
) -> Price | None:
    """The price at which the (triggered) order trades on this tick; None when it does not."""
    if not order.order_type.has_limit_price or order.price is None:
        return market_price(order.side, market, instrument, slippage_bps)
    met = market.met_by(order.side)
    if arriving:
        price = on_grid(met, order.side, instrument)
        return price if reaches(order.side, price, order.price) else None
    touched = reaches(order.side, met, order.price) or reaches(order.side, market.last, order.price)
    return Price(order.price) if touched else None


def room(volume: int | None, participation: Decimal, taken: int, lot_size: int) -> int | None:
    """The quantity a tick still has for us, in whole lots; None where its source does not say: then there is enough."""
    if volume is None:
        return None
    left = max(int(volume * participation) - taken, 0)
    return left - left % lot_size


def tick_name(tick: Tick) -> str:
    """Names a tick for ever, so that its volume is shared by every path that matches against it."""
    return f"{tick.received_at:.6f}/{tick.exchange_time:.6f}/{tick.last_price:.4f}/{tick.volume}"


def priority(order: PaperOrder) -> tuple[bool, Decimal, str]:
    """Sort key on one tick: orders without a limit first, then the better price, then the earlier order."""
    if not order.order_type.has_limit_price or order.price is None:
        return (False, Decimal(0), order.broker_order_id)
    return (True, -order.price * order.side.sign, order.broker_order_id)


@dataclass(frozen=True, slots=True)
class Gate:
    """The float prices beyond which a tick may concern any of an instrument's resting orders."""

    falls_to: float
    rises_to: float
    always: bool

    @classmethod
    def of(cls, orders: Iterable[PaperOrder]) -> "Gate":
        falls_to, rises_to, always = _NEVER_BELOW, _NEVER_ABOVE, False
        for order in orders:
            if order.status is BookStatus.TRIGGER_PENDING:
                level, waits_for_fall = order.trigger_price, order.side is Side.SELL
            else:
                level = order.price if order.order_type.has_limit_price else None
                waits_for_fall = order.side is Side.BUY
            if level is None:
                always = True
            elif waits_for_fall:
                falls_to = max(falls_to, float(level) + _EPSILON)
            else:
                rises_to = min(rises_to, float(level) - _EPSILON)
        return cls(falls_to, rises_to, always)

    def lets_through(self, tick: Tick) -> bool:
        low = tick.last_price if tick.ask is None else min(tick.last_price, tick.ask)
        high = tick.last_price if tick.bid is None else max(tick.last_price, tick.bid)
        return self.always or low <= self.falls_to or high >= self.rises_to


def conflate(ticks: list[Tick]) -> list[Tick]:
    """The ticks that reached a new high or low, and the last one: no level first touched by `ticks` is lost.

    Volumes of the ticks left out are dropped, never moved to a price they did not trade at. For use under overload
    only: a stop-limit that triggers inside the run sees just these ticks afterwards.
    """
    kept: list[Tick] = []
    low, high = _NEVER_ABOVE, _NEVER_BELOW
    for index, tick in enumerate(ticks):
        bottom = tick.last_price if tick.ask is None else min(tick.last_price, tick.ask)
        top = tick.last_price if tick.bid is None else max(tick.last_price, tick.bid)
        if bottom < low or top > high or index == len(ticks) - 1:
            kept.append(tick)
        low, high = min(low, bottom), max(high, top)
    return kept
