"""Trades that nobody here ordered, booked under the strategy EXTERNAL with no order: by hand, by another program on the
same account, by the broker's risk desk. They move position and day like any other fill, and are booked once each.
"""

from collections.abc import Sequence
from datetime import datetime

from alphapanda.domain.execution import TradeReport
from alphapanda.domain.ids import EXTERNAL, Broker
from alphapanda.ledger.booking import BOOK_FILLS, TURN, ChargeFill, booking_of
from alphapanda.ledger.engine import LedgerEngine, PortfolioMoved
from alphapanda.ledger.fast import Fetch, Statement

# `turnover` is of the same order of the broker's: what an order costs in charges goes by its total.
_READ = Statement("""
SELECT p.version, held.quantity AS held, held.cost, held.realised, held.charges,
    CAST(:exchange AS text) AS exchange, CAST(:tradingsymbol AS text) AS tradingsymbol,
    CAST(:product AS text) AS product, CAST(:strategy_id AS text) AS strategy_id, 0 AS filled_quantity,
    (SELECT coalesce(sum(f.quantity * f.price), 0) FROM fills f WHERE f.broker = p.broker AND f.order_id IS NULL
        AND f.broker_order_id = :broker_order_id) AS turnover,
    (SELECT coalesce(array_agg(f.trade_id), '{}') FROM fills f
     WHERE f.broker = p.broker AND f.trade_id = ANY(CAST(:trade_ids AS text[]))) AS booked
FROM portfolios p LEFT JOIN positions held ON held.broker = p.broker AND held.strategy_id = :strategy_id
    AND held.exchange = :exchange AND held.tradingsymbol = :tradingsymbol AND held.product = :product
WHERE p.broker = :broker
""")

_WRITE = Statement(f"WITH {TURN} {BOOK_FILLS} SELECT 1 FROM turn")


async def book_external(
    engine: LedgerEngine, broker: Broker, trades: Sequence[TradeReport], *, now: datetime, charge: ChargeFill
) -> int:
    """Book the trades of one order of the broker's that are not booked yet, in one commit; returns how many.

    A trade that is booked already, as an order's of ours too, stays as it is.
    """
    first = trades[0]
    ordered = sorted(trades, key=lambda trade: (trade.traded_at, trade.trade_id))

    async def attempt(fetch: Fetch) -> int:
        asked = {
            "broker": broker,
            "broker_order_id": first.broker_order_id,
            "trade_ids": [trade.trade_id for trade in ordered],
            "strategy_id": EXTERNAL,
            "exchange": first.exchange,
            "tradingsymbol": first.tradingsymbol,
            "product": first.product,
        }
        portfolio = (await fetch(_READ, asked))[0]
        booking = booking_of(ordered, portfolio, charge)
        if booking is None:
            return 0
        values = {**booking.parameters, "broker": broker, "version": portfolio["version"], "order_id": None, "now": now}
        if not await fetch(_WRITE, values):
            raise PortfolioMoved
        return len(booking.trades)

    return await engine.in_turn(broker, attempt)
