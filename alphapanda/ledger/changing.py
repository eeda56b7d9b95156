"""Changing an order at rest: a modification is checked like a new entry for what it adds, and reserves it."""

from collections.abc import Callable
from datetime import datetime, timedelta

from alphapanda.domain.ids import Broker, OrderId
from alphapanda.domain.reasons import Reason
from alphapanda.domain.signal import Signal
from alphapanda.domain.states import OrderState
from alphapanda.ledger.clearing import IS_EXIT, ClearingStep, book_of, read_portfolio
from alphapanda.ledger.engine import LedgerEngine, PortfolioMoved
from alphapanda.ledger.fast import Fetch, Statement
from alphapanda.risk.book import Book

_RESERVE = Statement("""
WITH turn AS (
    UPDATE portfolios SET version = version + 1 WHERE broker = :broker AND version = :version RETURNING 1
), raised AS (
    UPDATE reservations SET quantity = greatest(quantity, CAST(:quantity AS bigint)) FROM turn
    WHERE order_id = :order_id RETURNING 1
)
SELECT 1 FROM turn
""")


async def reserve_change(
    engine: LedgerEngine,
    order_id: OrderId,
    broker: Broker,
    remaining: Signal,
    *,
    now: datetime,
    decide: Callable[[Book, bool], Reason | None],
) -> Reason | None:
    """Ask `decide(book, is_exit)` about the changed order's open part and reserve it; returns the refusal, if any.

    The book leaves out the order's own reservation. Should the broker refuse the change, the next recorded step
    brings the reservation back to what is open.
    """
    step = ClearingStep(order_id, broker, remaining, "", OrderState.OPEN, 0, timedelta(0), "")

    async def attempt(fetch: Fetch) -> Reason | None:
        reserved = await fetch(IS_EXIT, {"order_id": order_id})
        row = await read_portfolio(fetch, step, now)
        refusal = decide(book_of(row), bool(reserved and reserved[0]["is_exit"]))
        if refusal is None:
            values = {"broker": broker, "version": row["version"], "order_id": order_id, "quantity": remaining.quantity}
            if not await fetch(_RESERVE, values):
                raise PortfolioMoved
        return refusal

    return await engine.in_turn(broker, attempt)
