"""Kite's JSON shapes of the book."""

import hashlib
from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import Any

from alphapanda.kitesim.book import Event
from alphapanda.kitesim.clock import time_only, wall_clock
from alphapanda.kitesim.market import Market
from alphapanda.kitesim.orders import SimOrder, SimTrade, Status
from alphapanda.kitesim.portfolio import Portfolio, Sums
from alphapanda.kitesim.settings import SimHolding, SimSettings

_APP_ID = 1000
_ISIN = "INE000000000"


def order_row(order: SimOrder, user_id: str) -> dict[str, Any]:
    """One order of `/orders`. A cancelled order still shows what was pending, as Kite's do."""
    row: dict[str, Any] = {
        "account_id": user_id,
        "placed_by": order.placed_by,
        "order_id": order.order_id,
        "exchange_order_id": order.exchange_order_id,
        "parent_order_id": None,
        "status": order.status.value,
        "status_message": order.status_message,
        "status_message_raw": order.status_message_raw,
        "order_timestamp": wall_clock(order.order_timestamp),
        "exchange_update_timestamp": _or_none(order.exchange_update_timestamp),
        "exchange_timestamp": _or_none(order.exchange_timestamp),
        "variety": order.variety,
        "modified": order.modifications > 0,
        "exchange": order.exchange,
        "tradingsymbol": order.tradingsymbol,
        "instrument_token": order.instrument_token,
        "order_type": order.order_type,
        "transaction_type": order.transaction_type,
        "validity": order.validity,
        "validity_ttl": order.validity_ttl,
        "product": order.product,
        "quantity": order.quantity,
        "disclosed_quantity": order.disclosed_quantity,
        "price": _number(order.price),
        "trigger_price": _number(order.trigger_price),
        "average_price": _number(order.average_price),
        "filled_quantity": order.filled_quantity,
        "pending_quantity": _pending(order),
        "cancelled_quantity": order.cancelled_quantity,
        "market_protection": 0,
        "meta": order.meta,
        "tag": order.tag,
        "guid": order.guid,
    }
    if order.tags:
        row["tags"] = list(order.tags)
    return row


def update_row(event: Event, user_id: str) -> dict[str, Any]:
    """The `data` of an order update over the WebSocket; its checksum is empty."""
    row = order_row(event.order, user_id)
    del row["modified"]
    row |= {
        "status": event.status,
        "user_id": user_id,
        "unfilled_quantity": event.order.quantity - event.order.filled_quantity,
        "app_id": _APP_ID,
        "checksum": "",
    }
    return row


def postback_row(event: Event, settings: SimSettings) -> dict[str, Any]:
    """The body of a postback: an update with the checksum that proves where it comes from."""
    row = update_row(event, settings.user_id)
    proof = f"{row['order_id']}{row['order_timestamp']}{settings.api_secret}"
    row["checksum"] = hashlib.sha256(proof.encode()).hexdigest()
    return row


def trade_row(trade: SimTrade) -> dict[str, Any]:
    return {
        "trade_id": trade.trade_id,
        "order_id": trade.order_id,
        "exchange": trade.exchange,
        "tradingsymbol": trade.tradingsymbol,
        "instrument_token": trade.instrument_token,
        "product": trade.product,
        "average_price": _number(trade.price),
        "quantity": trade.quantity,
        "exchange_order_id": trade.exchange_order_id,
        "transaction_type": trade.transaction_type,
        "fill_timestamp": wall_clock(trade.traded_at),
        "order_timestamp": time_only(trade.placed_at),
        "exchange_timestamp": wall_clock(trade.traded_at),
    }


def position_rows(portfolio: Portfolio, market: Market, tokens: dict[str, tuple[int, int]]) -> list[dict[str, Any]]:
    """`tokens`: instrument token and multiplier by key. Nothing is carried overnight: net and day are the same."""
    rows = []
    for (exchange, symbol, product), sums in portfolio.positions.items():
        token, multiplier = tokens[f"{exchange}:{symbol}"]
        last = market.last(f"{exchange}:{symbol}")
        rows.append(_position(exchange, symbol, product, sums, last, token, multiplier))
    return rows


def _position(
    exchange: str, symbol: str, product: str, sums: Sums, last: Decimal, token: int, multiplier: int
) -> dict[str, Any]:
    value = sums.sold_value - sums.bought_value
    profit = value + sums.net * last * multiplier
    bought = _average(sums.bought_value, sums.bought * multiplier)
    sold = _average(sums.sold_value, sums.sold * multiplier)
    return {
        "tradingsymbol": symbol,
        "exchange": exchange,
        "instrument_token": token,
        "product": product,
        "quantity": sums.net,
        "overnight_quantity": 0,
        "multiplier": multiplier,
        "average_price": bought if sums.net > 0 else sold if sums.net < 0 else 0,
        "close_price": 0,
        "last_price": _number(last),
        "value": _number(value),
        "pnl": _number(profit),
        "m2m": _number(profit),
        "unrealised": _number(profit),
        "realised": 0,
        "buy_quantity": sums.bought,
        "buy_price": bought,
        "buy_value": _number(sums.bought_value),
        "buy_m2m": _number(sums.bought_value),
        "sell_quantity": sums.sold,
        "sell_price": sold,
        "sell_value": _number(sums.sold_value),
        "sell_m2m": _number(sums.sold_value),
        "day_buy_quantity": sums.bought,
        "day_buy_price": bought,
        "day_buy_value": _number(sums.bought_value),
        "day_sell_quantity": sums.sold,
        "day_sell_price": sold,
        "day_sell_value": _number(sums.sold_value),
    }


def holding_rows(
    holdings: Iterable[SimHolding], portfolio: Portfolio, market: Market, tokens: dict[str, tuple[int, int]], day: str
) -> list[dict[str, Any]]:
    rows = []
    for held in holdings:
        sums = portfolio.positions.get((held.exchange, held.tradingsymbol, "CNC"), Sums())
        last = market.last(f"{held.exchange}:{held.tradingsymbol}")
        rows.append(
            {
                "tradingsymbol": held.tradingsymbol,
                "exchange": held.exchange,
                "instrument_token": tokens[f"{held.exchange}:{held.tradingsymbol}"][0],
                "isin": _ISIN,
                "product": "CNC",
                "price": 0,
                "quantity": held.quantity,
                "used_quantity": max(0, min(held.quantity, -sums.net)),
                "t1_quantity": 0,
                "realised_quantity": held.quantity,
                "authorised_quantity": 0,
                "authorised_date": f"{day} 00:00:00",
                "authorisation": {},
                "opening_quantity": held.quantity,
                "short_quantity": 0,
                "collateral_quantity": 0,
                "collateral_type": "",
                "discrepancy": False,
                "average_price": _number(held.average_price),
                "last_price": _number(last),
                "close_price": _number(last),
                "pnl": _number((last - held.average_price) * held.quantity),
                "day_change": 0,
                "day_change_percentage": 0,
                "mtf": {"quantity": 0, "used_quantity": 0, "average_price": 0, "value": 0, "initial_margin": 0},
            }
        )
    return rows


def margin_segment(opening: Decimal, available: Decimal) -> dict[str, Any]:
    used = _number(opening - available)
    return {
        "enabled": True,
        "net": _number(available),
        "available": {
            "adhoc_margin": 0,
            "cash": _number(opening),
            "opening_balance": _number(opening),
            "live_balance": _number(available),
            "collateral": 0,
            "intraday_payin": 0,
        },
        "utilised": {
            "debits": used,
            "exposure": used,
            "m2m_realised": 0,
            "m2m_unrealised": 0,
            "option_premium": 0,
            "payout": 0,
            "span": 0,
            "holding_sales": 0,
            "turnover": 0,
            "liquid_collateral": 0,
            "stock_collateral": 0,
            "delivery": 0,
        },
    }


def _pending(order: SimOrder) -> int:
    if order.status in (Status.REJECTED, Status.COMPLETE):
        return 0
    return order.quantity - order.filled_quantity


def _average(value: Decimal, quantity: int) -> float | int:
    return _number(value / quantity) if quantity else 0


def _number(value: Decimal) -> float | int:
    """As JSON has it: no point where there are no paise."""
    return int(value) if value == value.to_integral_value() else float(value)


def _or_none(when: datetime | None) -> str | None:
    return wall_clock(when) if when is not None else None
