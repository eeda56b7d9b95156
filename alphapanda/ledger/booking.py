"""Booking fills: each with its charges, and with what it does to position and day, in the statement of its caller.

Shared by an order's own trades (`recording`) and by the trades of others (`external`), so that a share and a paisa
mean the same in both.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

import orjson

from alphapanda.domain.calendar import trading_date
from alphapanda.domain.charges import Charges
from alphapanda.domain.execution import TradeReport
from alphapanda.domain.money import ZERO, Money
from alphapanda.domain.positions import Position
from alphapanda.ledger.fast import Row

ChargeFill = Callable[[TradeReport, Money], Charges | None]
"""Charges of a trade, given the order's turnover before it; None where no table knows them."""

TURN = """turn AS (
    UPDATE portfolios SET version = version + 1 WHERE broker = :broker AND version = :version RETURNING 1
)"""
"""The first CTE of every write to a portfolio: empty where the version that was read is no longer the portfolio's."""

BOOK_FILLS = """
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
"""CTEs after `turn`; parameters of `Booking`, and order_id, broker, now."""


@dataclass(frozen=True, slots=True)
class Booking:
    """The fills not booked before, the order's turnover and filled quantity with them, and what `BOOK_FILLS` takes."""

    trades: tuple[TradeReport, ...]
    turnover: Decimal
    filled: int
    parameters: dict[str, Any]


def booking_of(trades: Sequence[TradeReport], order: Row, charge: ChargeFill) -> Booking | None:
    """The fills not booked yet with what they do to position and day; None when all are booked.

    `order` has strategy_id, exchange, tradingsymbol, product, the order's filled_quantity and turnover so far, the
    position's held (None: there is none), cost, realised and charges, and `booked`: those of the ids that are.
    """
    new = tuple(trade for trade in trades if trade.trade_id not in order["booked"])
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
    return Booking(
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
