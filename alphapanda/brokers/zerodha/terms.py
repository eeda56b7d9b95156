"""Our terms as Kite's parameters. What Kite would refuse for its form is refused here, before anything is sent."""

import math
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from alphapanda.brokers.protocol import BrokerRejected
from alphapanda.brokers.zerodha.freeze import FreezeTable
from alphapanda.brokers.zerodha.rows import Entry
from alphapanda.domain.execution import OrderChange, OrderRequest
from alphapanda.domain.signal import OrderTerms
from alphapanda.domain.vocabulary import OrderType, Validity, Variety

MAX_SLICES = 10


@dataclass(frozen=True, slots=True)
class PlacementCall:
    """Arguments of `place_order`, or of `place_autoslice_order` where the quantity is above the freeze quantity."""

    arguments: dict[str, Any]
    sliced: bool


def placement(request: OrderRequest, *, protection: Decimal, freeze: FreezeTable, day: date) -> PlacementCall:
    """`protection`: percent, or -1 for automatic. Raises BrokerRejected for what cannot be sent."""
    terms = request.terms
    arguments: dict[str, Any] = {
        "variety": str(terms.variety),
        "exchange": str(terms.exchange),
        "tradingsymbol": terms.tradingsymbol,
        "transaction_type": str(terms.side),
        "quantity": terms.quantity,
        "product": str(terms.product),
        "order_type": str(terms.order_type),
        "validity": str(terms.validity),
        "tag": str(request.tag),
    }
    optional = {
        "price": number(terms.price),
        "trigger_price": number(terms.trigger_price),
        "validity_ttl": terms.validity_minutes,
        "market_protection": number(protection) if needs_protection(terms.order_type) else None,
    }
    arguments |= {name: value for name, value in optional.items() if value is not None}
    if terms.variety is Variety.ICEBERG:
        return PlacementCall(arguments | _legs(terms), sliced=False)
    return PlacementCall(arguments, sliced=_is_sliced(terms, freeze, day))


def modification(entry: Entry, change: OrderChange, *, protection: Decimal) -> dict[str, Any]:
    """Arguments of `modify_order` for one row, its variety apart: only what changes."""
    if change.validity is Validity.TTL:
        raise BrokerRejected("validity: an order cannot be changed to TTL at Zerodha; cancel it and place it anew")
    becomes = change.order_type or entry.report.order_type
    given = {
        "quantity": change.quantity,
        "price": number(change.price),
        "trigger_price": number(change.trigger_price),
        "order_type": None if change.order_type is None else str(change.order_type),
        "validity": None if change.validity is None else str(change.validity),
        "market_protection": number(protection) if needs_protection(becomes) else None,
    }
    arguments = {name: value for name, value in given.items() if value is not None}
    return {"order_id": entry.order_id, **arguments}


def needs_protection(order_type: OrderType) -> bool:
    """Exchanges refuse these without market protection since 2026-04-01 (KITE.md, Orders)."""
    return order_type in (OrderType.MARKET, OrderType.SL_M)


def number(value: Decimal | None) -> str | None:
    """Plain digits, no exponent, no trailing zeros."""
    if value is None:
        return None
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _legs(terms: OrderTerms) -> dict[str, Any]:
    legs = terms.iceberg_legs or 0
    if legs < 1 or terms.quantity % legs:
        raise BrokerRejected(
            f"iceberg_legs: {terms.quantity} cannot be split into {legs} equal legs; make the quantity a multiple"
        )
    return {"iceberg_legs": legs, "iceberg_quantity": terms.quantity // legs}


def _is_sliced(terms: OrderTerms, freeze: FreezeTable, day: date) -> bool:
    largest = freeze.quantity(terms.exchange, terms.tradingsymbol, day)
    if largest is None or terms.quantity <= largest:
        return False
    slices = math.ceil(terms.quantity / largest)
    if slices > MAX_SLICES:
        raise BrokerRejected(
            f"quantity: {terms.quantity} needs {slices} slices of {largest}; the broker makes {MAX_SLICES} at most"
        )
    return True
