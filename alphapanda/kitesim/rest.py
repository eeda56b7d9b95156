"""Kite's REST calls: which path is which call, what it answers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alphapanda.kitesim import charges, quotes, rows
from alphapanda.kitesim.calls import Call
from alphapanda.kitesim.clock import wall_clock
from alphapanda.kitesim.errors import KiteError, bad_input
from alphapanda.kitesim.fates import fate_of
from alphapanda.kitesim.http import Reply, Request, success
from alphapanda.kitesim.instruments import dump
from alphapanda.kitesim.orders import ZERO

if TYPE_CHECKING:
    from alphapanda.kitesim.account import Account

_ROUTES: tuple[tuple[str, str, Call], ...] = (
    ("POST", r"/session/token", Call.SESSION),
    ("DELETE", r"/session/token", Call.LOGOUT),
    ("GET", r"/user/profile", Call.PROFILE),
    ("GET", r"/user/margins(?:/(?P<segment>equity|commodity))?", Call.MARGINS),
    ("GET", r"/orders", Call.ORDERS),
    ("GET", r"/trades", Call.TRADES),
    ("POST", r"/orders/(?P<variety>[a-z]+)", Call.PLACE),
    ("PUT", r"/orders/(?P<variety>[a-z]+)/(?P<order_id>\w+)", Call.MODIFY),
    ("DELETE", r"/orders/(?P<variety>[a-z]+)/(?P<order_id>\w+)", Call.CANCEL),
    ("GET", r"/orders/(?P<order_id>\d+)", Call.ORDER_HISTORY),
    ("GET", r"/orders/(?P<order_id>\d+)/trades", Call.ORDER_TRADES),
    ("GET", r"/portfolio/positions", Call.POSITIONS),
    ("GET", r"/portfolio/holdings", Call.HOLDINGS),
    ("GET", r"/instruments(?:/(?P<exchange>[A-Z]+))?", Call.INSTRUMENTS),
    ("GET", r"/quote(?:/(?:ohlc|ltp))?", Call.QUOTE),
    ("POST", r"/margins/orders", Call.ORDER_MARGINS),
    ("POST", r"/charges/orders", Call.CONTRACT_NOTE),
)
_COMPILED = tuple((method, re.compile(pattern), call) for method, pattern, call in _ROUTES)
_EXCHANGES = ["BFO", "MCX", "NSE", "CDS", "BSE", "BCD", "MF", "NFO"]


@dataclass(frozen=True, slots=True)
class Target:
    """A call and what its path says."""

    call: Call
    path: Mapping[str, str | None]


def target(request: Request) -> Target:
    """Raises KiteError for a path or method that Kite does not know."""
    for method, pattern, call in _COMPILED:
        found = pattern.fullmatch(request.path)
        if found is not None and method == request.method:
            return Target(call, found.groupdict())
    known = any(pattern.fullmatch(request.path) for _, pattern, _ in _COMPILED)
    raise KiteError("GeneralException", "Method not allowed" if known else "Route not found", 405 if known else 404)


def answer(account: "Account", request: Request, target: Target) -> Reply:
    """Carry the call out. Raises KiteError."""
    match target.call:
        case Call.PLACE | Call.MODIFY | Call.CANCEL:
            return success(_order_call(account, request, target))
        case Call.INSTRUMENTS:
            exchange = target.path["exchange"]
            listed = [each for each in account.exchange.instruments if exchange in (None, each.exchange)]
            return Reply(200, dump(listed), content_type="text/csv")
        case Call.SESSION:
            return success(_open_session(account, request))
        case Call.LOGOUT:
            account.end_session()
            return success(True)
        case Call.ORDER_MARGINS:
            return success(charges.order_margins(account, request.document()))
        case Call.CONTRACT_NOTE:
            return success(charges.contract_notes(account, request.document()))
        case _:
            return success(_read(account, request, target))


def _order_call(account: "Account", request: Request, target: Target) -> dict[str, Any]:
    variety, now, params = target.path["variety"] or "", account.now(), request.params
    if target.call is Call.PLACE:
        fate = fate_of(account.faults.fate(params.get("tag")))
        placed = account.exchange.place(variety, params, now, fate)
        reply: dict[str, Any] = {"order_id": placed.order_id}
        if placed.children is not None:
            reply["children"] = list(placed.children)
        return reply
    order_id = target.path["order_id"] or ""
    if target.call is Call.MODIFY:
        account.exchange.modify(variety, order_id, params, now)
    else:
        account.exchange.cancel(variety, order_id, now)
    return {"order_id": order_id}


def _read(account: "Account", request: Request, target: Target) -> Any:
    match target.call:
        case Call.ORDERS:
            return account.order_rows()
        case Call.ORDER_HISTORY:
            return account.history_rows(target.path["order_id"] or "")
        case Call.TRADES:
            return account.trade_rows()
        case Call.ORDER_TRADES:
            return account.trade_rows(target.path["order_id"])
        case Call.POSITIONS:
            found = account.position_rows()
            return {"net": found, "day": found}
        case Call.HOLDINGS:
            return account.holding_rows()
        case Call.MARGINS:
            return _margins(account, target.path["segment"])
        case Call.PROFILE:
            return _profile(account)
        case Call.QUOTE:
            return _quotes(account, request)
        case _:
            raise AssertionError(target.call)  # answered by the callers


def _margins(account: "Account", segment: str | None) -> dict[str, Any]:
    equity = rows.margin_segment(account.settings.starting_cash, account.exchange.intake.available())
    if segment == "equity":
        return equity
    commodity = rows.margin_segment(ZERO, ZERO)
    return commodity if segment else {"equity": equity, "commodity": commodity}


def _quotes(account: "Account", request: Request) -> dict[str, Any]:
    asked = request.all("i")
    _, most = quotes.SHAPES[request.path]
    if not asked or len(asked) > most:
        raise bad_input(f"Between 1 and {most} instruments can be asked for, not {len(asked)}.")
    exchange = account.exchange
    found = [(name, exchange.instruments.get(name)) for name in asked]
    known = [(name, exchange.market.quote(each)) for name, each in found if each is not None]
    return quotes.shaped(known, request.path)


def _profile(account: "Account") -> dict[str, Any]:
    user = account.settings.user_id
    return {
        "user_id": user,
        "user_type": "individual",
        "email": "trader@example.invalid",
        "user_name": "Simulated Trader",
        "user_shortname": "Simulated",
        "broker": "ZERODHA",
        "exchanges": _EXCHANGES,
        "products": ["CNC", "NRML", "MIS", "MTF"],
        "order_types": ["MARKET", "LIMIT", "SL", "SL-M"],
        "avatar_url": None,
        "meta": {"demat_consent": "consent"},
    }


def _open_session(account: "Account", request: Request) -> dict[str, Any]:
    params, now = request.params, account.now()
    try:
        given = (params["api_key"], params["request_token"], params["checksum"])
    except KeyError as error:
        raise bad_input(f"Missing or empty field `{error.args[0]}`") from error
    token = account.open_session(*given)
    return _profile(account) | {
        "api_key": account.settings.api_key,
        "access_token": token,
        "public_token": "public",
        "enctoken": "enc",
        "refresh_token": "",
        "silo": "",
        "login_time": wall_clock(now),
    }
