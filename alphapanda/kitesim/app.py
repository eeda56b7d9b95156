"""The ASGI application: Kite's REST at `/`, its WebSocket at `/`, the login page, and the control plane at `/sim/`."""

from alphapanda.kitesim import control, login, rest
from alphapanda.kitesim.account import Account
from alphapanda.kitesim.calls import Call
from alphapanda.kitesim.errors import KiteError, dead_token
from alphapanda.kitesim.faults import Fault
from alphapanda.kitesim.http import (
    GONE_S,
    Receive,
    Reply,
    Request,
    Reset,
    Scope,
    Send,
    failure,
    reset,
    send_reply,
    success,
)
from alphapanda.kitesim.sockets import Tickers
from alphapanda.kitesim.spoiling import spoiled

_WITHOUT_TOKEN = (Call.SESSION, Call.LOGOUT, Call.INSTRUMENTS)


class SimApp:
    def __init__(self, account: Account, tickers: Tickers) -> None:
        self._account = account
        self._tickers = tickers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._tickers.serve(scope, receive, send)
            return
        request = await Request.read(scope, receive)
        if request is None:
            return
        try:
            reply = await self._reply(request)
        except Reset:
            reset(scope)
            await request.hold(GONE_S)  # returning earlier were a fault of ours to uvicorn, which would answer 500
            return
        await send_reply(reply, send)

    async def _reply(self, request: Request) -> Reply:
        if request.path.startswith("/sim/"):
            return control.answer(self._account, self._tickers, request)
        if request.path == login.PATH:
            return login.page(self._account, request)
        try:
            target = rest.target(request)
        except KiteError as error:
            self._account.requests[f"{request.method} other"] += 1
            return failure(error)
        self._account.requests[target.call.value] += 1
        try:
            self._admit(request, target.call)
        except KiteError as error:
            return failure(error)
        return await self._perform(request, target)

    def _admit(self, request: Request, call: Call) -> None:
        """Raises KiteError: 429 before 403, since the limit is the proxy's in front."""
        self._account.limits.admit(call, self._account.monotonic())
        if call not in _WITHOUT_TOKEN:
            self._account.sessions.check(request.headers.get("authorization", ""))

    async def _perform(self, request: Request, target: rest.Target) -> Reply:
        account = self._account

        def perform() -> Reply:
            try:
                reply = rest.answer(account, request, target)
            except KiteError as error:
                reply = failure(error)
            account.commit()
            return reply

        def place_later(seconds: float) -> Reply:
            variety = target.path["variety"] or ""
            try:
                account.exchange.place_later(variety, request.params, account.now(), seconds)
            except KiteError as error:
                return failure(error)
            account.commit()
            return success({})

        armed = account.faults.reply(target.call, self._tag(request, target))
        if armed is None:
            return perform()
        if armed.fault is Fault.TOKEN_EXPIRY:
            account.end_session()
            return failure(dead_token())
        return await spoiled(armed, request, perform, place_later)

    def _tag(self, request: Request, target: rest.Target) -> str | None:
        if target.call is Call.PLACE:
            return request.params.get("tag")
        order = self._account.book.orders.get(target.path.get("order_id") or "")
        return order.tag if order is not None else None
