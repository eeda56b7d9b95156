"""Rows as Kite's books have them, made up here."""

from datetime import UTC, datetime
from typing import Any

from alphapanda.domain.execution import OrderRequest
from alphapanda.domain.ids import Broker, OrderId, Tag
from alphapanda.domain.signal import OrderTerms

NOW = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)
OURS = "0123456789ABCDEFGHIJ"


def order_row(order_id: str = "1", **changes: Any) -> dict[str, Any]:
    """BUY 10 NSE:INFY @ 1500.05, MIS, open since 10:00:00 in India, unless changed."""
    row: dict[str, Any] = {
        "order_id": order_id, "exchange_order_id": None, "parent_order_id": None, "status": "OPEN",
        "status_message": None, "status_message_raw": None, "order_timestamp": "2026-11-20 10:00:00",
        "exchange_update_timestamp": "2026-11-20 10:00:01", "exchange_timestamp": "2026-11-20 10:00:01",
        "variety": "regular", "modified": False, "exchange": "NSE", "tradingsymbol": "INFY", "instrument_token": 408065,
        "order_type": "LIMIT", "transaction_type": "BUY", "validity": "DAY", "validity_ttl": 0, "product": "MIS",
        "quantity": 10, "disclosed_quantity": 0, "price": 1500.05, "trigger_price": 0, "average_price": 0,
        "filled_quantity": 0, "pending_quantity": 10, "cancelled_quantity": 0, "market_protection": 0, "meta": {},
        "tag": OURS, "tags": [OURS], "guid": "x",
    }  # fmt: skip
    return {**row, **changes}


def slice_row(order_id: str, parent: str = "99", **changes: Any) -> dict[str, Any]:
    return order_row(order_id, **{"tags": [OURS, "autoslice", f"autoslice:{parent}"], **changes})


def leg_row(order_id: str, leg: int, legs: int = 5, total: int = 50, **changes: Any) -> dict[str, Any]:
    meta = {"iceberg": {"leg": leg, "legs": legs, "leg_quantity": 10, "total_quantity": total}}
    return order_row(order_id, **{"variety": "iceberg", "meta": meta, **changes})


def trade_row(trade_id: str, order_id: str = "1", **changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {
        "trade_id": trade_id, "order_id": order_id, "exchange": "NSE", "tradingsymbol": "INFY", "product": "MIS",
        "average_price": 1500.05, "quantity": 10, "transaction_type": "BUY", "fill_timestamp": "2026-11-20 10:00:02",
        "order_timestamp": "10:00:00", "exchange_timestamp": "2026-11-20 10:00:02",
    }  # fmt: skip
    return {**row, **changes}


def request(**changes: Any) -> OrderRequest:
    """BUY 10 NSE:INFY @ MARKET, MIS, DAY, unless changed."""
    terms: dict[str, Any] = {
        "exchange": "NSE", "tradingsymbol": "INFY", "side": "BUY", "quantity": 10, "order_type": "MARKET",
        "product": "MIS",
    }  # fmt: skip
    return OrderRequest(
        broker=Broker("zerodha"), order_id=OrderId("zerodha:s"), tag=Tag(OURS), terms=OrderTerms(**{**terms, **changes})
    )
