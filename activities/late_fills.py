"""Late reports: what the broker's book shows of an order whose workflow has ended. A fact, so it is booked."""

from datetime import datetime

from activities.charging import charge_by
from alphapanda.domain.charges import ChargeTable
from alphapanda.domain.execution import OrderReport
from alphapanda.domain.tracking import observe, observe_replaced
from alphapanda.ledger.engine import LedgerEngine
from alphapanda.ledger.events import Transition
from alphapanda.ledger.instruments import find_instrument
from alphapanda.ledger.recording import RecordStep, record_step
from alphapanda.ledger.tracked import TrackedOrder, booked_trade_ids


async def book_late_report(engine: LedgerEngine, order: TrackedOrder, report: OrderReport, *, now: datetime) -> int:
    """Book what `report` shows and the ledger lacks; returns the trades booked. Running it again books nothing.

    Besides late fills that is the end of an order whose workflow was ended before it (terminated by a person).
    """
    progress = order.progress(await booked_trade_ids(engine, order.order_id))
    if report.tag != order.tag:
        seen = observe_replaced(progress, report)
    else:
        # After a replacement the report is of the rest alone: it does not make an ended order smaller.
        seen = observe(progress, report.model_copy(update={"whole": False}))
    if not seen.changed:
        return 0
    instrument = await find_instrument(engine, report.exchange, report.tradingsymbol)
    step = RecordStep(
        order_id=order.order_id,
        broker=order.broker,
        correlation_id=order.correlation_id,
        seq=order.seq,
        transitions=tuple(Transition(state, why, "reconciliation") for state, why in seen.entered),
        trades=seen.new_trades,
        quantity=seen.progress.quantity,
        order_type=order.order_type,
        validity=order.validity,
        price=order.price,
        trigger_price=order.trigger_price,
        broker_order_id=report.broker_order_id if report.tag == order.tag else None,
    )
    await record_step(engine, step, now=now, charge=charge_by(ChargeTable.packaged(), instrument))
    return len(seen.new_trades)
