"""The control plane: what a rehearsal arms, does behind the desk's back, and learns about the truth afterwards."""

from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from alphapanda.domain.errors import AlphaPandaError, InvalidValueError
from alphapanda.kitesim import actions
from alphapanda.kitesim.account import Account
from alphapanda.kitesim.faults import Fault
from alphapanda.kitesim.http import Reply, Request, plain_json
from alphapanda.kitesim.sockets import Tickers
from alphapanda.kitesim.truth import state

_ARMING = {"count", "calls", "probability", "skip", "tag", "seconds", "accepted", "ratio", "status"}
Body = dict[str, Any]


def answer(account: Account, tickers: Tickers, request: Request) -> Reply:
    """JSON in, JSON out; 400 with what is wrong, 404 for what there is not."""
    handler = _HANDLERS.get((request.method, request.path))
    if handler is None:
        known = sorted(f"{method} {path}" for method, path in _HANDLERS)
        return plain_json({"error": "no such control", "controls": known}, 404)
    try:
        body = request.document()
        if not isinstance(body, dict):
            raise InvalidValueError("the body: expected a JSON object")
        done = handler(account, tickers, body)
    except (AlphaPandaError, TypeError) as error:
        return plain_json({"error": str(error)}, 400)
    account.commit()
    return plain_json(done)


def _state(account: Account, tickers: Tickers, _body: Body) -> Any:
    return state(account, tickers)


def _arm(account: Account, _tickers: Tickers, body: Body) -> Any:
    unknown = set(body) - _ARMING - {"fault"}
    if unknown or "fault" not in body:
        raise InvalidValueError(f"expected `fault` and any of {sorted(_ARMING)}; not {sorted(unknown)}")
    options = {name: value for name, value in body.items() if name != "fault"}
    armed = account.faults.arm(body["fault"], **options)
    return {"armed": armed.fault, "count": armed.count, "calls": sorted(armed.calls)}


def _list_faults(account: Account, _tickers: Tickers, _body: Body) -> Any:
    armed = [{"fault": each.fault, "calls": sorted(each.calls), "struck": each.struck} for each in account.faults.armed]
    return {"armed": armed, "struck": account.faults.struck, "faults": list(Fault)}


def _clear(account: Account, _tickers: Tickers, _body: Body) -> Any:
    account.faults.clear()
    return {"armed": []}


def _price(account: Account, _tickers: Tickers, body: Body) -> Any:
    volume = body.get("volume")
    actions.set_price(
        account, _text(body, "exchange"), _text(body, "tradingsymbol"), _decimal(body, "ltp"),
        volume=int(volume) if volume is not None else None,
    )  # fmt: skip
    return {}


def _expire(account: Account, _tickers: Tickers, _body: Body) -> Any:
    account.end_session()
    return {"session": "expired"}


def _external(account: Account, _tickers: Tickers, body: Body) -> Any:
    price = _decimal(body, "price") if body.get("price") is not None else None
    order_id = actions.external_trade(
        account, _text(body, "exchange"), _text(body, "tradingsymbol"), _text(body, "transaction_type"),
        int(body.get("quantity", 0)), product=body.get("product", "MIS"), price=price,
    )  # fmt: skip
    return {"order_id": order_id}


def _square_off(account: Account, _tickers: Tickers, body: Body) -> Any:
    done = actions.square_off(
        account, exchange=body.get("exchange"), tradingsymbol=body.get("tradingsymbol"), product=body.get("product")
    )
    return {"order_ids": done}


def _release(account: Account, _tickers: Tickers, body: Body) -> Any:
    return {"released": account.exchange.release(body.get("order_id"), account.now())}


def _market(account: Account, _tickers: Tickers, body: Body) -> Any:
    if not isinstance(body.get("open"), bool):
        raise InvalidValueError("open: expected true or false")
    account.set_market(is_open=body["open"])
    return {"open": account.exchange.is_open}


def _sockets(_account: Account, tickers: Tickers, body: Body) -> Any:
    action = body.get("action")
    if action == "drop":
        return {"dropped": tickers.drop()}
    if action in ("mute", "unmute"):
        tickers.mute(muted=action == "mute")
        return {"connected": tickers.connected}
    raise InvalidValueError("action: expected drop, mute or unmute")


_HANDLERS: dict[tuple[str, str], Callable[[Account, Tickers, Body], Any]] = {
    ("GET", "/sim/state"): _state,
    ("GET", "/sim/faults"): _list_faults,
    ("POST", "/sim/faults"): _arm,
    ("DELETE", "/sim/faults"): _clear,
    ("POST", "/sim/price"): _price,
    ("POST", "/sim/session/expire"): _expire,
    ("POST", "/sim/external-trade"): _external,
    ("POST", "/sim/square-off"): _square_off,
    ("POST", "/sim/release"): _release,
    ("POST", "/sim/market"): _market,
    ("POST", "/sim/sockets"): _sockets,
}


def _text(body: Body, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidValueError(f"{name}: expected a text")
    return value


def _decimal(body: Body, name: str) -> Decimal:
    try:
        value = Decimal(str(body.get(name)))
    except InvalidOperation as error:
        raise InvalidValueError(f"{name}: expected a number") from error
    if not value.is_finite() or value <= 0:
        raise InvalidValueError(f"{name}: must be above 0")
    return value
