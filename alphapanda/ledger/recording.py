"""Recording: what happened to an order, with its fills and their effect on position and day, in one transaction.

Safe to run twice: events carry numbers, fills their trade ids, and only a fill booked now moves a position.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson

from alphapanda.domain.calendar import trading_date
from alphapanda.domain.charges import Charges
from alphapanda.domain.execution import TradeReport
from alphapanda.domain.ids import Broker, OrderId
from alphapanda.domain.money import ZERO, Money
from alphapanda.domain.positions import Position
from alphapanda.domain.states import TERMINAL, OrderState
from alphapanda.ledger.engine import LedgerEngine, PortfolioMoved
from alphapanda.ledger.events import INSERT_EVENTS, Transition, event_parameters
from alphapanda.ledger.fast import Fetch, Row, Statement

ChargeFill = Callable[[TradeReport, Money], Charges | None]
"""Charges of a trade, given the order's turnover before it; None where no table knows them."""


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
WITH turn AS (
    UPDATE portfolios SET version = version + 1 WHERE broker = :broker AND version = :version RETURNING 1
), events AS ({INSERT_EVENTS} RETURNING 1),
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
    modify_requested = :modify_requested,
    closed_at = CASE WHEN CAST(:release AS boolean) THEN CAST(:now AS timestamptz) END
FROM turn WHERE order_id = :order_id
RETURNING seq
"""

_BOOK_FILLS = """
, booked AS (
    INSERT INTO fills (broker, trade_id, order_id, broker_order_id, strategy_id, exchange, tradingsymbol, product, side,
        quantity, price, charges, charge_items, traded_at, booked_at)
    SELECT :broker, trade_id, :order_id, trade_order_id, :strategy_id, :exchange, :tradingsymbol, :product, side,
        trade_quantity, trade_price, trade_charges, CAST(items AS jsonb), traded_at, CAST(:now AS timestamptz)
    FROM turn, unnest(CAST(:trade_ids AS text[]), CAST(:trade_order_ids AS text[]), CAST(:sides AS text[]),
        CAST(:trade_quantities AS bigint[]), CAST(:trade_prices AS numeric[]), CAST(:trade_charges AS numeric[]),
        CAST(:items AS text[]), CAST(:traded_at AS timestamptz[]))
        AS trade (trade_id, trade_order_id, side, trade_quantity, trade_price, trade_charges, items, traded_at)
    RETURNING 1
), position AS (
    INSERT INTO positions (broker, strategy_id, exchange, tradingsymbol, product, quantity, cost, realised, charges,
        updated_at)
    SELECT :broker, :strategy_id, :exchange, :tradingsymbol, :product, CAST(:position AS bigint),
        CAST(:cost AS numeric), CAST(:realised AS numeric), CAST(:position_charges AS numeric),
        CAST(:now AS timestamptz)
    FROM turn
    ON CONFLICT (broker, strategy_id, exchange, tradingsymbol, product) DO UPDATE SET quantity = excluded.quantity,
        cost = excluded.cost, realised = excluded.realised, charges = excluded.charges, updated_at = excluded.updated_at
    RETURNING 1
), day AS (
    INSERT INTO portfolio_days (broker, trading_date, realised, charges, fills)
    SELECT :broker, CAST(:today AS date), CAST(:day_realised AS numeric), CAST(:day_charges AS numeric),
        CAST(:day_fills AS integer)
    FROM turn
    ON CONFLICT (broker, trading_date) DO UPDATE SET realised = portfolio_days.realised + excluded.realised,
        charges = portfolio_days.charges + excluded.charges, fills = portfolio_days.fills + excluded.fills
    RETURNING 1
)
"""

_WRITE = Statement(_WRITE_ORDER + _UPDATE_ORDER)
_WRITE_WITH_FILLS = Statement(_WRITE_ORDER + _BOOK_FILLS + _UPDATE_ORDER)


async def record_step(engine: LedgerEngine, step: RecordStep, *, now: datetime, charge: ChargeFill) -> None:
    """Append the transitions and book the trades that are not booked yet: one commit."""

    async def attempt(fetch: Fetch) -> None:
        trade_ids = [trade.trade_id for trade in step.trades]
        order = (await fetch(_READ, {"order_id": step.order_id, "trade_ids": trade_ids}))[0]
        # Events already written by an earlier run of this step are skipped by their number.
        transitions = step.transitions[max(order["seq"] - step.seq, 0) :]
        booking = _booking(step, order, charge)
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


@dataclass(frozen=True, slots=True)
class _Booking:
    trades: tuple[TradeReport, ...]
    turnover: Decimal
    filled: int
    parameters: dict[str, Any]


def _booking(step: RecordStep, order: Row, charge: ChargeFill) -> _Booking | None:
    """The fills not booked yet with what they do to position and day; None when all are booked."""
    new = tuple(trade for trade in step.trades if trade.trade_id not in order["booked"])
    if not new:
        return None
    before = Position()
    if order["held"] is not None:
        before = Position(order["held"], order["cost"], order["realised"])
    after, turnover, charged = before, Decimal(order["turnover"]), []
    for trade in new:
        charged.append(charge(trade, Money(turnover)))
        turnover += trade.price * trade.quantity
        after = after.after_trade(trade.side.sign * trade.quantity, trade.price)
    paid = sum((item.total for item in charged if item is not None), ZERO)
    return _Booking(
        trades=new,
        turnover=turnover,
        filled=order["filled_quantity"] + sum(trade.quantity for trade in new),
        parameters={
            **{name: order[name] for name in ("strategy_id", "exchange", "tradingsymbol", "product")},
            **_fill_arrays(new, charged),
            "position": after.quantity,
            "cost": after.cost,
            "realised": after.realised,
            "position_charges": (order["charges"] or ZERO) + paid,
            # The day of the trade, not of the booking: a fill found after midnight belongs to its own day.
            "today": trading_date(new[-1].traded_at),
            "day_realised": after.realised - before.realised,
            "day_charges": paid,
            "day_fills": len(new),
        },
    )


def _fill_arrays(trades: Sequence[TradeReport], charged: Sequence[Charges | None]) -> dict[str, Any]:
    return {
        "trade_ids": [trade.trade_id for trade in trades],
        "trade_order_ids": [trade.broker_order_id for trade in trades],
        "sides": [str(trade.side) for trade in trades],
        "trade_quantities": [trade.quantity for trade in trades],
        "trade_prices": [trade.price for trade in trades],
        "trade_charges": [None if item is None else item.total for item in charged],
        "items": [None if item is None else _items(item) for item in charged],
        "traded_at": [trade.traded_at for trade in trades],
    }


def _items(charges: Charges) -> str:
    return orjson.dumps({name: str(amount) for name, amount in asdict(charges).items()}).decode()


def _parameters(
    step: RecordStep,
    order: Row,
    transitions: tuple[Transition, ...],
    booking: _Booking | None,
    now: datetime,
) -> dict[str, Any]:
    state = transitions[-1].state if transitions else OrderState(order["state"])
    last = transitions[-1] if transitions else None
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
    }
