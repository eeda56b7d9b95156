"""The terms of an order as answers show them."""

from typing import Any

from api.schemas.base import Out, Rupees

EXAMPLE_TERMS: dict[str, Any] = {
    "exchange": "NSE",
    "tradingsymbol": "INFY",
    "side": "BUY",
    "quantity": 10,
    "order_type": "LIMIT",
    "product": "CNC",
    "price": "1450.05",
    "trigger_price": None,
    "validity": "DAY",
    "validity_minutes": None,
    "variety": "regular",
    "iceberg_legs": None,
}


class TermsOut(Out):
    exchange: str
    tradingsymbol: str
    side: str
    quantity: int
    order_type: str
    product: str
    price: Rupees | None
    trigger_price: Rupees | None
    validity: str
    validity_minutes: int | None
    variety: str
    iceberg_legs: int | None
