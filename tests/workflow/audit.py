"""The audit: what must hold in any ledger, whatever a test did to the desk."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.domain.reasons import NOTES, ReasonCode
from alphapanda.domain.states import TERMINAL, TRANSITIONS, OrderState


async def transitions_taken(engine: AsyncEngine) -> set[tuple[OrderState, OrderState]]:
    rows = await _rows(engine, "SELECT DISTINCT from_state, to_state FROM order_events WHERE from_state <> to_state")
    return {(OrderState(row.from_state), OrderState(row.to_state)) for row in rows}


async def audit(engine: AsyncEngine) -> None:
    """Events chain along the table; fills, positions and orders agree; nothing stays reserved; one order per tag."""
    await _events_chain(engine)
    await _fills_agree(engine)
    for row in await _rows(
        engine, "SELECT o.order_id, o.state, r.quantity FROM reservations r JOIN orders o USING (order_id)"
    ):
        assert OrderState(row.state) not in TERMINAL, f"{row.order_id} ended as {row.state} and still reserves"
        assert row.quantity >= 0
    doubled = await _rows(engine, "SELECT tag, count(*) FROM paper_orders GROUP BY tag HAVING count(*) > 1")
    assert not doubled, f"the exchange got the same order twice: {doubled}"


async def _events_chain(engine: AsyncEngine) -> None:
    last: dict[str, Any] = {}
    for event in await _rows(engine, "SELECT * FROM order_events ORDER BY order_id, seq"):
        before = last.get(event.order_id)
        if before is None:
            assert (event.seq, event.from_state, event.to_state) == (1, None, "RECEIVED"), event
        else:
            assert event.seq == before.seq + 1, f"{event.order_id}: event {event.seq} follows {before.seq}"
            assert event.from_state == before.to_state, f"{event.order_id}: {event.seq} does not start where it was"
            if event.from_state == event.to_state:
                assert ReasonCode(event.reason_code) in NOTES, event
            else:
                assert OrderState(event.to_state) in TRANSITIONS[OrderState(event.from_state)], event
        last[event.order_id] = event
    for order in await _rows(engine, "SELECT * FROM orders"):
        assert (order.seq, order.state) == (last[order.order_id].seq, last[order.order_id].to_state)
        assert (order.closed_at is not None) == (OrderState(order.state) in TERMINAL), order


async def _fills_agree(engine: AsyncEngine) -> None:
    wrong = await _rows(
        engine,
        """SELECT o.order_id, o.filled_quantity, o.turnover, sum(f.quantity) AS quantity FROM orders o
        LEFT JOIN fills f USING (order_id) GROUP BY o.order_id HAVING o.filled_quantity <> coalesce(sum(f.quantity), 0)
        OR o.turnover <> coalesce(sum(f.quantity * f.price), 0)""",
    )
    assert not wrong, f"orders and their fills disagree: {wrong}"
    wrong = await _rows(
        engine,
        """SELECT * FROM positions p FULL JOIN (
            SELECT broker, strategy_id, exchange, tradingsymbol, product,
                sum(CASE side WHEN 'BUY' THEN quantity ELSE -quantity END) AS net
            FROM fills GROUP BY 1, 2, 3, 4, 5) f USING (broker, strategy_id, exchange, tradingsymbol, product)
        WHERE coalesce(p.quantity, 0) <> coalesce(f.net, 0)""",
    )
    assert not wrong, f"positions and fills disagree: {wrong}"


async def _rows(engine: AsyncEngine, query: str) -> list[Any]:
    async with engine.connect() as connection:
        return list((await connection.execute(text(query))).all())
