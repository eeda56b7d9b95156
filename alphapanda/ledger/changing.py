"""Changing an order at rest: a modification is checked like a new entry for what it adds, and reserves it."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.domain.ids import Broker, OrderId
from alphapanda.domain.reasons import Reason
from alphapanda.domain.signal import Signal
from alphapanda.domain.states import OrderState
from alphapanda.ledger.clearing import ClearingStep, lock_order, read_book
from alphapanda.risk.book import Book

_RESERVE = text("""
UPDATE reservations SET quantity = greatest(quantity, :quantity) WHERE order_id = :order_id RETURNING 1
""")
_IS_EXIT = text("SELECT is_exit FROM reservations WHERE order_id = :order_id")


async def reserve_change(
    engine: AsyncEngine,
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
    async with engine.begin() as connection:
        await lock_order(connection, order_id)
        is_exit = (await connection.execute(_IS_EXIT, {"order_id": order_id})).scalar_one_or_none()
        refusal = decide(await read_book(connection, step, now), bool(is_exit))
        if refusal is None:
            await connection.execute(_RESERVE, {"order_id": order_id, "quantity": remaining.quantity})
    return refusal
