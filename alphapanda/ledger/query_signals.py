"""Signals as accepted, each with the state of its order on every broker."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Text, cast, select, tuple_
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.domain.ids import Broker, SignalId
from alphapanda.ledger.models import OrderRow, SignalRow
from alphapanda.ledger.queries import Page, fetch

_signals = SignalRow.__table__
_orders = OrderRow.__table__


@dataclass(frozen=True, slots=True)
class SignalOrderRecord:
    order_id: str
    signal_id: str
    broker: str
    workflow_id: str
    state: str


@dataclass(frozen=True, slots=True)
class SignalRecord:
    signal_id: str
    strategy_id: str
    brokers: Sequence[str]
    exchange: str
    tradingsymbol: str
    side: str
    quantity: int
    order_type: str
    product: str
    price: Decimal | None
    trigger_price: Decimal | None
    validity: str
    validity_minutes: int | None
    variety: str
    iceberg_legs: int | None
    generated_at: datetime
    expires_at: datetime | None
    wait_for_open: bool
    metadata: dict[str, Any]
    correlation_id: str
    accepted_at: datetime


SignalWithOrders = tuple[SignalRecord, tuple[SignalOrderRecord, ...]]


class SignalKey(NamedTuple):
    accepted_at: datetime
    signal_id: str


_columns = tuple(_signals.c[field.name] for field in fields(SignalRecord))


async def list_signals(
    engine: AsyncEngine,
    brokers: Sequence[Broker],
    *,
    strategy_id: str | None = None,
    after: SignalKey | None,
    limit: int,
) -> Page[SignalWithOrders, SignalKey]:
    """Signals addressed to any of `brokers`, newest first, with their orders on those brokers only."""
    statement = select(*_columns).where(_signals.c.brokers.bool_op("&&")(cast(list(brokers), ARRAY(Text))))
    if strategy_id is not None:
        statement = statement.where(_signals.c.strategy_id == strategy_id)
    key = (_signals.c.accepted_at, _signals.c.signal_id)
    if after is not None:
        statement = statement.where(tuple_(*key) < tuple_(*after))
    rows = await fetch(engine, statement.order_by(key[0].desc(), key[1].desc()).limit(limit + 1))
    signals = [SignalRecord(**row._mapping) for row in rows[:limit]]
    orders = await _orders_of(engine, [signal.signal_id for signal in signals], brokers)
    items = tuple((signal, orders.get(signal.signal_id, ())) for signal in signals)
    more = len(rows) > limit
    return Page(items, SignalKey(signals[-1].accepted_at, signals[-1].signal_id) if more else None)


async def get_signal(engine: AsyncEngine, signal_id: SignalId, brokers: Sequence[Broker]) -> SignalWithOrders | None:
    """The signal with its orders on `brokers`; None when unknown or addressed to none of them."""
    rows = await fetch(engine, select(*_columns).where(_signals.c.signal_id == signal_id))
    if not rows:
        return None
    signal = SignalRecord(**rows[0]._mapping)
    if not set(signal.brokers) & set(brokers):
        return None
    orders = await _orders_of(engine, [signal_id], brokers)
    return signal, orders.get(signal_id, ())


async def _orders_of(
    engine: AsyncEngine, signal_ids: Sequence[str], brokers: Sequence[Broker]
) -> dict[str, tuple[SignalOrderRecord, ...]]:
    if not signal_ids:
        return {}
    statement = (
        select(*(_orders.c[field.name] for field in fields(SignalOrderRecord)))
        .where(_orders.c.signal_id.in_(signal_ids), _orders.c.broker.in_(brokers))
        .order_by(_orders.c.broker)
    )
    found: dict[str, tuple[SignalOrderRecord, ...]] = {}
    for row in await fetch(engine, statement):
        found[row.signal_id] = (*found.get(row.signal_id, ()), SignalOrderRecord(**row._mapping))
    return found
