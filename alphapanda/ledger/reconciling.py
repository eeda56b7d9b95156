"""The ledger as reconciliation compares it: orders, fills and positions of one broker, in one snapshot."""

from collections.abc import Iterable
from datetime import datetime, time, timedelta
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.domain.calendar import IST, trading_date
from alphapanda.domain.ids import Broker, tag_stem
from alphapanda.domain.states import BEFORE_THE_WIRE, TERMINAL, OrderState
from alphapanda.domain.vocabulary import Side
from alphapanda.ledger.queries import ledger_errors
from alphapanda.reconciliation.orders import is_our_form
from alphapanda.reconciliation.views import Account, BookedFill, BrokerView, KnownOrder, LedgerView, Unread

_MAY_BE_THERE = sorted(set(OrderState) - TERMINAL - BEFORE_THE_WIRE)

# An order that was replaced at the broker has had several tags, which share their stem.
_ORDERS = text("""
SELECT order_id, workflow_id, state, quantity, filled_quantity, tag, broker_order_id, updated_at FROM orders
WHERE broker = :broker AND (state = ANY(CAST(:states AS text[])) OR broker_order_id = ANY(CAST(:numbers AS text[])))
UNION
SELECT order_id, workflow_id, state, quantity, filled_quantity, tag, broker_order_id, updated_at
FROM unnest(CAST(:stems AS text[])) AS asked (stem)
JOIN orders o ON o.broker = :broker AND o.tag BETWEEN asked.stem || '00' AND asked.stem || 'ZZ'
""")

_FILLS = text("""
SELECT trade_id, order_id, exchange, tradingsymbol, product, side, quantity, price, traded_at, booked_at FROM fills
WHERE broker = :broker AND (trade_id = ANY(CAST(:trade_ids AS text[])) OR (traded_at >= :opens AND traded_at < :closes))
""")

_POSITIONS = text("""
SELECT exchange, tradingsymbol, product, CAST(sum(quantity) AS bigint) AS quantity FROM positions
WHERE broker = :broker GROUP BY exchange, tradingsymbol, product
""")


async def read_ledger(engine: AsyncEngine, broker: Broker, seen: BrokerView) -> LedgerView:
    """What the ledger has beside `seen`. Raises LedgerUnavailable."""
    trades = _read(seen.trades)
    book = _read(seen.orders)
    opens = datetime.combine(seen.day, time.min, IST)
    numbers = {row.broker_order_id for row in book} | {trade.broker_order_id for trade in trades}
    asked: dict[str, Any] = {
        "broker": broker,
        "states": _MAY_BE_THERE,
        "stems": sorted({tag_stem(row.tag) for row in book if row.tag is not None and is_our_form(row.tag)}),
        "numbers": sorted(numbers),
        "trade_ids": [trade.trade_id for trade in trades],
        "opens": opens,
        "closes": opens + timedelta(days=1),
    }
    snapshot = engine.execution_options(isolation_level="REPEATABLE READ")
    with ledger_errors():
        async with snapshot.connect() as connection:
            orders = (await connection.execute(_ORDERS, asked)).all()
            fills = (await connection.execute(_FILLS, asked)).all()
            positions = (await connection.execute(_POSITIONS, asked)).all()
    return LedgerView(
        broker=broker,
        orders=tuple(_order(row) for row in orders),
        fills=tuple(_fill(row) for row in fills),
        positions={Account(row.exchange, row.tradingsymbol, row.product): row.quantity for row in positions},
    )


def _read(part: "tuple[Any, ...] | Unread") -> Iterable[Any]:
    return () if isinstance(part, Unread) else part


def _order(row: Row[Any]) -> KnownOrder:
    return KnownOrder(
        order_id=row.order_id,
        workflow_id=row.workflow_id,
        state=OrderState(row.state),
        quantity=row.quantity,
        filled_quantity=row.filled_quantity,
        tag=row.tag,
        broker_order_id=row.broker_order_id,
        updated_on=trading_date(row.updated_at),
    )


def _fill(row: Row[Any]) -> BookedFill:
    return BookedFill(
        trade_id=row.trade_id,
        order_id=row.order_id,
        account=Account(row.exchange, row.tradingsymbol, row.product),
        side=Side(row.side),
        quantity=row.quantity,
        price=row.price,
        traded_at=row.traded_at,
        booked_at=row.booked_at,
    )
