"""Recording: what happened to an order, with its fills and their effect on position and day, in one transaction.

Safe to run twice: events carry numbers, fills their trade ids, and only a fill booked now moves a position.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from alphapanda.domain.evidence import Evidence
from alphapanda.domain.execution import TradeReport
from alphapanda.domain.ids import Broker, OrderId, Tag
from alphapanda.domain.states import TERMINAL, OrderState
from alphapanda.ledger.booking import BOOK_FILLS, TURN, Booking, ChargeFill, booking_of
from alphapanda.ledger.engine import LedgerEngine, PortfolioMoved
from alphapanda.ledger.events import INSERT_EVENTS, Transition, event_parameters
from alphapanda.ledger.fast import Fetch, Row, Statement


@dataclass(frozen=True, slots=True)
class RecordStep:
    """What a workflow (or reconciliation) learned of an order. `seq` is the last event before `transitions`."""

    order_id: OrderId
    broker: Broker
    correlation_id: str
    seq: int
    transitions: tuple[Transition, ...]
    trades: tuple[TradeReport, ...]
    quantity: int
    order_type: str
    validity: str
    price: Decimal | None
    trigger_price: Decimal | None
    broker_order_id: str | None = None
    cancel_requested: bool = False
    modify_requested: bool = False
    tag: Tag | None = None
    """A new tag, where the order is placed anew at the broker; None: as it was."""
    evidence: Evidence | None = None


_READ = Statement("""
SELECT o.seq, o.state, o.strategy_id, o.exchange, o.tradingsymbol, o.product, o.filled_quantity, o.turnover, p.version,
    held.quantity AS held, held.cost, held.realised, held.charges,
    (SELECT coalesce(array_agg(f.trade_id), '{}') FROM fills f
     WHERE f.broker = o.broker AND f.trade_id = ANY(CAST(:trade_ids AS text[]))) AS booked
FROM orders o JOIN portfolios p USING (broker) LEFT JOIN positions held ON held.broker = o.broker
    AND held.strategy_id = o.strategy_id AND held.exchange = o.exchange AND held.tradingsymbol = o.tradingsymbol
    AND held.product = o.product
WHERE o.order_id = :order_id
""")

_WRITE_ORDER = f"""
WITH {TURN}, events AS ({INSERT_EVENTS} RETURNING 1),
promise AS (
    UPDATE reservations SET quantity = greatest(CAST(:quantity AS bigint) - CAST(:filled AS bigint), 0) FROM turn
    WHERE order_id = :order_id AND NOT CAST(:release AS boolean) RETURNING 1
), released AS (
    DELETE FROM reservations USING turn WHERE order_id = :order_id AND CAST(:release AS boolean) RETURNING 1
)
"""

_UPDATE_ORDER = """
UPDATE orders SET state = :state, reason_code = coalesce(:code, reason_code), reason = coalesce(:reason, reason),
    seq = :new_seq, updated_at = :now, quantity = :quantity, filled_quantity = :filled, turnover = :turnover,
    price = :price, trigger_price = :trigger_price, order_type = :order_type, validity = :validity,
    broker_order_id = coalesce(:broker_order_id, broker_order_id), cancel_requested = :cancel_requested,
    modify_requested = :modify_requested, tag = coalesce(:tag, tag),
    evidence = coalesce(CAST(:evidence AS jsonb), evidence),
    closed_at = CASE WHEN CAST(:release AS boolean) THEN CAST(:now AS timestamptz) END
FROM turn WHERE order_id = :order_id
RETURNING seq
"""

_WRITE = Statement(_WRITE_ORDER + _UPDATE_ORDER)
_WRITE_WITH_FILLS = Statement(_WRITE_ORDER + BOOK_FILLS + _UPDATE_ORDER)


async def record_step(engine: LedgerEngine, step: RecordStep, *, now: datetime, charge: ChargeFill) -> None:
    """Append the transitions and book the trades that are not booked yet: one commit."""

    async def attempt(fetch: Fetch) -> None:
        trade_ids = [trade.trade_id for trade in step.trades]
        order = (await fetch(_READ, {"order_id": step.order_id, "trade_ids": trade_ids}))[0]
        # Events already written by an earlier run of this step are skipped by their number.
        transitions = step.transitions[max(order["seq"] - step.seq, 0) :]
        booking = booking_of(step.trades, order, charge)
        if order["seq"] > step.seq and not transitions and booking is None:
            return  # all of it stands already; a run that comes late must not undo what came after it
        values = _parameters(step, order, transitions, booking, now)
        if booking is None:
            written = await fetch(_WRITE, values)
        else:
            written = await fetch(_WRITE_WITH_FILLS, {**booking.parameters, **values})
        if not written:
            raise PortfolioMoved

    await engine.in_turn(step.broker, attempt)


def _parameters(
    step: RecordStep,
    order: Row,
    transitions: tuple[Transition, ...],
    booking: Booking | None,
    now: datetime,
) -> dict[str, Any]:
    state = transitions[-1].state if transitions else OrderState(order["state"])
    # A note (from a state to itself) tells what happened, not why the order is in its state.
    before = (OrderState(order["state"]), *(item.state for item in transitions))
    entered = [item for item, was in zip(transitions, before, strict=False) if item.state is not was]
    last = entered[-1] if entered else None
    return {
        **event_parameters(transitions, OrderState(order["state"])),
        "order_id": step.order_id,
        "broker": step.broker,
        "version": order["version"],
        "correlation_id": step.correlation_id,
        "seq": order["seq"],
        "new_seq": order["seq"] + len(transitions),
        "now": now,
        "state": str(state),
        "code": None if last is None else str(last.reason.code),
        "reason": None if last is None else str(last.reason),
        "release": state in TERMINAL,
        "quantity": step.quantity,
        "filled": booking.filled if booking else order["filled_quantity"],
        "turnover": booking.turnover if booking else order["turnover"],
        "price": step.price,
        "order_type": step.order_type,
        "validity": step.validity,
        "trigger_price": step.trigger_price,
        "broker_order_id": step.broker_order_id,
        "cancel_requested": step.cancel_requested,
        "modify_requested": step.modify_requested,
        "tag": step.tag,
        "evidence": None if step.evidence is None else step.evidence.model_dump_json(),
    }
