"""How a fault spoils the reply to one request."""

import asyncio
from collections.abc import Callable

from alphapanda.kitesim.errors import KiteError, bad_input, bad_order
from alphapanda.kitesim.faults import Armed, Fault
from alphapanda.kitesim.http import Reply, Request, Reset, failure

TIMEOUT_S = 60.0
"""How long a timeout holds the connection; Kite's client gives up after 7 seconds."""

LATE_PLACEMENT_S = 8.0
IP_NOT_ALLOWED = "Your IP address is not registered for placing orders through the API."
TIMED_OUT = "Order request timed out. Please check the order book and confirm before placing again."

_REFUSALS = {
    Fault.IP_NOT_ALLOWED: KiteError("PermissionException", IP_NOT_ALLOWED, 403),
    Fault.TOO_MANY_REQUESTS: KiteError("NetworkException", "Too many requests", 429),
    Fault.REJECT_MARGIN: KiteError(
        "MarginException", "Insufficient funds. Required margin is 95417.84 but available margin is 74251.80."
    ),
    Fault.REJECT_HOLDING: KiteError("HoldingException", "Insufficient holdings. 10 are to be sold, 0 are available."),
    Fault.REJECT_ORDER: bad_order("The order could not be placed: the contract is blocked for trading."),
    Fault.REJECT_INPUT: bad_input("Invalid `quantity`."),
    Fault.REJECT_USER: KiteError("UserException", "Your account is blocked for trading in this segment."),
}
_HOLDING = (Fault.TIMEOUT_BEFORE, Fault.TIMEOUT_AFTER)
_BEFORE = (Fault.TIMEOUT_BEFORE, Fault.RESET_BEFORE)


async def spoiled(
    armed: Armed, request: Request, perform: Callable[[], Reply], place_later: Callable[[float], Reply]
) -> Reply:
    """The reply that the client gets instead. `perform` carries the call out and says what a sound reply were.

    Raises Reset where the connection ends without one.
    """
    fault = armed.fault
    if fault in _REFUSALS:
        return failure(_REFUSALS[fault])
    if fault is Fault.TIMED_OUT_400:
        refused = place_later(armed.seconds if armed.seconds is not None else LATE_PLACEMENT_S)
        return refused if refused.status != 200 else failure(bad_order(TIMED_OUT))
    sound = None if fault in _BEFORE or not armed.accepted else perform()
    if fault in _HOLDING:
        await request.hold(armed.seconds if armed.seconds is not None else TIMEOUT_S)
        raise Reset
    if fault in (Fault.RESET_BEFORE, Fault.RESET_AFTER):
        # Ours must not overtake the client's own writing of the request, or it sees a broken pipe instead.
        await asyncio.sleep(0)
        raise Reset
    return _disfigured(armed, request, sound)


def _disfigured(armed: Armed, request: Request, sound: Reply | None) -> Reply:
    body = sound.body if sound is not None else b'{"status": "success", "data": {"order_id": "1"}}'
    match armed.fault:
        case Fault.SERVER_ERROR:
            kind = {502: "DataException", 503: "NetworkException"}.get(armed.status, "GeneralException")
            return failure(KiteError(kind, "Something went wrong. Please try again.", armed.status))
        case Fault.HTML_502:
            return _html(502, "Bad Gateway")
        case Fault.HTML_504:
            return _html(504, "Gateway Time-out")
        case Fault.MALFORMED_JSON:
            return Reply(200, body[: len(body) // 2])
        case Fault.NO_DATA:
            return Reply(200, b'{"status": "success"}')
        case Fault.NO_ERROR_TYPE:
            return Reply(400, b'{"status": "error", "message": "Something went wrong."}')
        case Fault.NO_CONTENT_TYPE:
            return Reply(200, body, content_type=None)
        case Fault.REDIRECT:
            return Reply(302, b"", headers={"location": request.path})
        case _:
            raise AssertionError(armed.fault)  # every fault of a reply is handled above


def _html(status: int, title: str) -> Reply:
    page = f"<html><head><title>{status} {title}</title></head><body><h1>{status} {title}</h1></body></html>"
    return Reply(status, page.encode(), content_type="text/html")
