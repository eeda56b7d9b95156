"""Positions and the figures of each broker's portfolio. Brokers are never added together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import BigInteger, String, cast, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.domain.ids import Broker
from alphapanda.domain.instrument import instrument_key
from alphapanda.domain.money import average_price
from alphapanda.domain.states import TERMINAL, OrderState
from alphapanda.ledger.models import OrderRow, PortfolioDayRow, PositionRow, ReservationRow
from alphapanda.ledger.queries import Page, fetch

_positions = PositionRow.__table__
_days = PortfolioDayRow.__table__
_orders = OrderRow.__table__
_reservations = ReservationRow.__table__

Prices = Mapping[str, Decimal | None]
"""Last price per `NSE:INFY`; None or absent where it is not known."""


@dataclass(frozen=True, slots=True)
class PositionRecord:
    """A net position of one broker: of one strategy, or of all (`strategy_id` is then empty).

    `cost` is the signed rupees paid for the net quantity. Strategies on opposite sides net out: what one gained
    against the other stays in `cost`, so profit adds up whichever way it is grouped.
    """

    broker: str
    exchange: str
    tradingsymbol: str
    product: str
    strategy_id: str
    quantity: int
    cost: Decimal
    realised: Decimal
    charges: Decimal
    updated_at: datetime

    @property
    def instrument(self) -> str:
        return instrument_key(self.exchange, self.tradingsymbol)

    @property
    def average_price(self) -> Decimal | None:
        return average_price(self.cost, self.quantity)

    def unrealised(self, last_price: Decimal | None) -> Decimal | None:
        """Rupees gained if closed at `last_price`; None when something is open and the price is unknown."""
        if self.quantity == 0:
            return -self.cost
        return None if last_price is None else self.quantity * last_price - self.cost


class PositionKey(NamedTuple):
    broker: str
    exchange: str
    tradingsymbol: str
    product: str
    strategy_id: str


@dataclass(frozen=True, slots=True)
class PositionFilter:
    brokers: Sequence[Broker]
    strategy_id: str | None = None
    tradingsymbol: str | None = None
    open_only: bool = False
    by_strategy: bool = False


async def list_positions(
    engine: AsyncEngine, where: PositionFilter, *, after: PositionKey | None = None, limit: int | None = None
) -> Page[PositionRecord, PositionKey]:
    """Ordered by broker and instrument. Without `limit`, all of them."""
    c = _positions.c
    group = [c.broker, c.exchange, c.tradingsymbol, c.product]
    if where.by_strategy:
        group.append(c.strategy_id)
    statement = (
        select(
            *group[:4],
            c.strategy_id if where.by_strategy else literal("", String).label("strategy_id"),
            cast(func.sum(c.quantity), BigInteger).label("quantity"),
            func.sum(c.cost).label("cost"),
            func.sum(c.realised).label("realised"),
            func.sum(c.charges).label("charges"),
            func.max(c.updated_at).label("updated_at"),
        )
        .where(c.broker.in_(where.brokers))
        .group_by(*group)
        .order_by(*group)
    )
    if where.strategy_id is not None:
        statement = statement.where(c.strategy_id == where.strategy_id)
    if where.tradingsymbol is not None:
        statement = statement.where(c.tradingsymbol == where.tradingsymbol)
    if where.open_only:
        statement = statement.having(func.sum(c.quantity) != 0)
    if after is not None:
        statement = statement.where(tuple_(*group) > tuple_(*after[: len(group)]))
    rows = await fetch(engine, statement if limit is None else statement.limit(limit + 1))
    items = tuple(PositionRecord(**row._mapping) for row in rows[:limit])
    if limit is None or len(rows) <= limit:
        return Page(items, None)
    last = items[-1]
    return Page(items, PositionKey(last.broker, last.exchange, last.tradingsymbol, last.product, last.strategy_id))


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over positions, in rupees. `unrealised`, and with it the net profit, is None if one price is missing."""

    realised: Decimal
    unrealised: Decimal | None
    charges: Decimal

    @property
    def net(self) -> Decimal | None:
        return None if self.unrealised is None else self.realised + self.unrealised - self.charges


def total(positions: Iterable[PositionRecord], prices: Prices) -> Totals:
    realised = charges = Decimal(0)
    unrealised: Decimal | None = Decimal(0)
    for position in positions:
        realised += position.realised
        charges += position.charges
        gained = position.unrealised(prices.get(position.instrument))
        unrealised = None if unrealised is None or gained is None else unrealised + gained
    return Totals(realised, unrealised, charges)


@dataclass(frozen=True, slots=True)
class DayRecord:
    """What a broker's fills of one trading date came to."""

    trading_date: date
    realised: Decimal = Decimal(0)
    charges: Decimal = Decimal(0)
    fills: int = 0


@dataclass(frozen=True, slots=True)
class PortfolioRecord:
    """All of one broker: net positions over its strategies, the day, and what is still on its way."""

    broker: str
    day: DayRecord
    positions: tuple[PositionRecord, ...] = field(default=())
    live_orders: int = 0
    reserved_value: Decimal = Decimal(0)


async def list_portfolios(engine: AsyncEngine, brokers: Sequence[Broker], *, today: date) -> list[PortfolioRecord]:
    """One per broker of `brokers`, in that order; a broker that never traded has zeros, which is then the truth."""
    positions = (await list_positions(engine, PositionFilter(brokers))).items
    days = await fetch(
        engine,
        select(_days.c.broker, _days.c.trading_date, _days.c.realised, _days.c.charges, _days.c.fills).where(
            _days.c.broker.in_(brokers), _days.c.trading_date == today
        ),
    )
    live = await fetch(
        engine,
        select(_orders.c.broker, func.count().label("orders"))
        .where(_orders.c.broker.in_(brokers), _orders.c.state.in_(sorted(set(OrderState) - TERMINAL)))
        .group_by(_orders.c.broker),
    )
    reserved = await fetch(
        engine,
        select(_reservations.c.broker, func.sum(_reservations.c.quantity * _reservations.c.price).label("value"))
        .where(_reservations.c.broker.in_(brokers), ~_reservations.c.is_exit)
        .group_by(_reservations.c.broker),
    )
    day_of = {row.broker: DayRecord(row.trading_date, row.realised, row.charges, row.fills) for row in days}
    live_of = {row.broker: int(row.orders) for row in live}
    reserved_of = {row.broker: row.value for row in reserved}
    return [
        PortfolioRecord(
            broker=broker,
            day=day_of.get(broker, DayRecord(today)),
            positions=tuple(position for position in positions if position.broker == broker),
            live_orders=live_of.get(broker, 0),
            reserved_value=reserved_of.get(broker, Decimal(0)),
        )
        for broker in brokers
    ]
