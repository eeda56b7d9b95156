"""Margins and virtual contract notes of orders that are not placed."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from alphapanda.domain.calendar import trading_date
from alphapanda.domain.charges import ChargesUnknown, ChargeTable
from alphapanda.domain.charging import charges_of
from alphapanda.domain.instrument import Instrument, InstrumentType
from alphapanda.domain.money import ZERO
from alphapanda.domain.vocabulary import Exchange, Product, Side
from alphapanda.kitesim.errors import bad_input
from alphapanda.kitesim.portfolio import margin_rate
from alphapanda.kitesim.terms import decimal, whole

if TYPE_CHECKING:
    from alphapanda.kitesim.account import Account
    from alphapanda.kitesim.instruments import SimInstrument

_MOST = 100


def order_margins(account: "Account", orders: Any) -> list[dict[str, Any]]:
    """Raises KiteError (InputException)."""
    return [_margin(account, order) for order in _listed(orders)]


def contract_notes(account: "Account", orders: Any) -> list[dict[str, Any]]:
    """Raises KiteError (InputException)."""
    return [_note(account, order) for order in _listed(orders)]


def _margin(account: "Account", order: dict[str, str]) -> dict[str, Any]:
    instrument = _instrument(account, order)
    price = decimal(order, "price") or account.exchange.market.quote(instrument).last
    buying = order.get("transaction_type") == "BUY"
    rate = margin_rate(instrument, order.get("product", ""), buying=buying)
    total = float(price * whole(order, "quantity", required=True) * rate)
    return {
        "type": "equity",
        "tradingsymbol": instrument.tradingsymbol,
        "exchange": instrument.exchange,
        "span": 0,
        "exposure": 0,
        "option_premium": total if instrument.is_option and buying else 0,
        "additional": 0,
        "bo": 0,
        "cash": 0,
        "var": 0 if instrument.is_option and buying else total,
        "pnl": {"realised": 0, "unrealised": 0},
        "leverage": float(1 / rate),
        "charges": _charges(account, order, instrument, price),
        "total": total,
    }


def _note(account: "Account", order: dict[str, str]) -> dict[str, Any]:
    instrument = _instrument(account, order)
    price = decimal(order, "average_price") or decimal(order, "price")
    shown = ("transaction_type", "tradingsymbol", "exchange", "variety", "product", "order_type")
    return {name: order.get(name, "") for name in shown} | {
        "quantity": whole(order, "quantity", required=True),
        "price": float(price),
        "charges": _charges(account, order, instrument, price),
    }


def _charges(account: "Account", order: dict[str, str], instrument: "SimInstrument", price: Decimal) -> dict[str, Any]:
    try:
        found = charges_of(
            _domain_instrument(instrument), side=Side(order.get("transaction_type", "")),
            product=Product(order.get("product", "")), quantity=whole(order, "quantity", required=True), price=price,
            day=trading_date(account.now()), turnover_before=ZERO, table=ChargeTable.packaged(),
        )  # fmt: skip
    except (ChargesUnknown, ValueError) as error:
        raise bad_input(f"No charges are known for this order: {error}") from error
    return {
        "transaction_tax": float(found.stt),
        "transaction_tax_type": "stt",
        "exchange_turnover_charge": float(found.exchange_txn),
        "sebi_turnover_charge": float(found.sebi),
        "brokerage": float(found.brokerage),
        "stamp_duty": float(found.stamp),
        "gst": {"igst": float(found.gst), "cgst": 0, "sgst": 0, "total": float(found.gst)},
        "total": float(found.total),
    }


def _listed(orders: Any) -> list[dict[str, str]]:
    is_list = isinstance(orders, list) and all(isinstance(each, dict) for each in orders)
    if not is_list or not 0 < len(orders) <= _MOST:
        raise bad_input(f"A list of 1 to {_MOST} orders is expected.")
    return [{name: str(value) for name, value in each.items()} for each in orders]


def _instrument(account: "Account", order: dict[str, str]) -> "SimInstrument":
    found = account.exchange.instruments.learn(order.get("exchange", ""), order.get("tradingsymbol", ""))
    if found is None:
        raise bad_input("Invalid `tradingsymbol`.")
    return found


def _domain_instrument(instrument: "SimInstrument") -> Instrument:
    return Instrument(
        exchange=Exchange(instrument.exchange),
        tradingsymbol=instrument.tradingsymbol,
        instrument_token=instrument.token,
        instrument_type=InstrumentType(instrument.instrument_type),
        segment="NSE_EQ" if instrument.is_share else "NSE_FNO",
        tick_size=instrument.tick_size,
        lot_size=instrument.lot_size,
        strike=instrument.strike or None,
        expiry=instrument.expiry,
    )
