"""Calls to Kite from asyncio: each with a fresh token, a turn in the account's limits, a thread and a deadline.

One HTTP try per call. When its caller stops waiting (deadline, cancellation, close) the exchange is given up: what has
not left by then never leaves, what has is ambiguous, and no thread stays behind.
"""

import asyncio
import copy
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import structlog

from alphapanda.brokers.protocol import (
    BrokerError,
    BrokerUnavailable,
    NotAuthenticated,
    RateLimited,
)
from alphapanda.brokers.zerodha.account import credentials, plain_root
from alphapanda.brokers.zerodha.lanes import Lane
from alphapanda.brokers.zerodha.needs import AccessToken, Limits, Tokens
from alphapanda.brokers.zerodha.outcomes import Reply, error_by, error_of, row_of
from alphapanda.brokers.zerodha.penalties import Penalties
from alphapanda.domain.errors import AlphaPandaError
from alphapanda.domain.ids import Broker
from alphapanda.live.limits import CallKind
from alphapanda.redaction import hide
from alphapanda.settings import ZerodhaSettings

if TYPE_CHECKING:
    from alphapanda.brokers.zerodha.wire import Exchange

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")

ORDER_TURN_S = 5.0
"""How long an order call waits for a thread, and then for its turn: below what its activity allows, so that an order
is either sent while somebody waits for its outcome or not at all."""
READ_TURN_S = 10.0
_CLOSING_S = 5.0

_URGENT = frozenset({CallKind.CANCEL, CallKind.EXIT})

Kite = Any
"""kiteconnect.KiteConnect; it has no types of its own."""


@dataclass(frozen=True, slots=True)
class _Opened:
    """What needs kiteconnect and requests imported. Calls copy `kite`, so that each has a token of its own."""

    kite: Kite
    wire: Any
    exchange: "Callable[[float], Exchange]"
    call_of: Any


class KiteClient:
    """Raises `BrokerError` subclasses only. `do` runs in a thread, is handed a KiteConnect and makes one call on it."""

    def __init__(self, name: Broker, settings: ZerodhaSettings, tokens: Tokens, limits: Limits) -> None:
        self._name = name
        self._settings = settings
        self._api_key, self._api_secret = credentials(settings)
        self._root = plain_root(settings.api_root)
        self._tokens = tokens
        self.limits = limits
        for_orders = max(1, settings.threads * 5 // 8)
        self._orders = Lane("order", for_orders, kept=1)
        self._reads = Lane("read", max(1, settings.threads - for_orders))
        self._penalties = {lane: Penalties() for lane in (self._orders, self._reads)}
        self._opening = asyncio.Lock()
        self._opened: _Opened | None = None
        self._live: dict[asyncio.Future[Reply], Exchange] = {}
        self._closed = False
        self._deaths: tuple[int, AccessToken | None] = (0, None)
        """How often a call found its token dead, and which it was the last time."""

    async def prepare(self) -> None:
        """Import what calls need, so that the first order does not wait for it."""
        await self._open()

    async def token(self) -> AccessToken:
        """The session as stored now. Raises NotAuthenticated without one, BrokerUnavailable where none can be read."""
        try:
            token = await self._tokens.read(self._name)
        except Exception as error:
            raise BrokerUnavailable(f"the stored session cannot be read: {type(error).__name__}") from error
        if token is None:
            raise NotAuthenticated("nobody is logged in to Zerodha")
        hide(token.token)
        return token

    async def read(
        self, do: Callable[[Kite], _T], *, token: AccessToken | None = None, timeout_s: float | None = None
    ) -> _T:
        """A call without effect: whatever is not an answer is BrokerUnavailable. `timeout_s` None: as the settings."""
        token = token or await self.token()
        timeout_s = self._settings.timeout_s if timeout_s is None else timeout_s
        return await self._call(CallKind.READ, do, self._reads, token, timeout_s, READ_TURN_S)

    async def order_call(self, kind: CallKind, do: Callable[[Kite], _T], *, send_before: datetime | None = None) -> _T:
        """Place, modify or cancel: AmbiguousOutcome unless the reply proves what became of it."""
        token = await self.token()
        timeout_s = self._settings.order_timeout_s
        return await self._call(kind, do, self._orders, token, timeout_s, ORDER_TURN_S, send_before)

    async def exchange_login(self, request_token: str) -> tuple[str, str]:
        """Access token and user id for a login's request token."""

        def do(kite: Kite) -> tuple[str, str]:
            opened = kite.generate_session(request_token, self._api_secret)
            return str(opened["access_token"]), str(opened["user_id"])

        token, user_id = await self._call(
            CallKind.READ, do, self._reads, None, self._settings.timeout_s, READ_TURN_S
        )  # fmt: skip
        hide(token)
        return token, user_id

    async def close(self) -> None:
        """Give up what is under way and wait for its threads. Safe to call twice."""
        self._closed = True
        for exchange in self._live.values():
            exchange.give_up()
        if self._live:
            await asyncio.wait(tuple(self._live), timeout=_CLOSING_S)
        self._orders.shut()
        self._reads.shut()
        if self._opened is not None:
            self._opened.wire.close()

    async def _call(
        self,
        kind: CallKind,
        do: Callable[[Kite], _T],
        lane: Lane,
        token: AccessToken | None,
        timeout_s: float,
        turn_s: float,
        send_before: datetime | None = None,
    ) -> _T:
        opened = await self._open()
        is_order, deaths = lane is self._orders, self._deaths
        async with lane.place(urgent=kind in _URGENT, within_s=turn_s) as place:
            await self._turn(kind, turn_s)
            if self._closed:
                raise BrokerUnavailable("the adapter is closed; nothing was sent")
            if send_before is not None and datetime.now(UTC) >= send_before:
                raise BrokerUnavailable("its deadline passed while it waited its turn; nothing was sent")
            # Only what waited meanwhile: a call that begins later asks the broker again, which has the last word.
            if is_order and self._deaths != deaths and self._deaths[1] == token:
                raise NotAuthenticated("the session was found dead while this call waited its turn; nothing was sent")
            exchange, sent_at = opened.exchange(timeout_s), asyncio.get_running_loop().time()
            future = place.run(lambda: self._noted(_made(opened, exchange, token, do), token))
            self._live[future] = exchange
            future.add_done_callback(lambda done: self._live.pop(done, None))
            reply = await _awaited(future, exchange, timeout_s)
        row = row_of(reply)
        error = error_by(row, reply, is_order=is_order)
        if isinstance(error, RateLimited):
            await self._penalise(lane, error, sent_at)
        elif reply.status is not None:
            self._penalties[lane].answered(sent_at=sent_at)
        if error is None:
            value: _T = reply.value
            return value
        _log.info(
            "a call to Kite did not succeed",
            broker=self._name, call=kind, ended=row.name, code=error.code, status=reply.status, failure=reply.failure,
        )  # fmt: skip
        raise error

    def _noted(self, reply: Reply, token: AccessToken | None) -> Reply:
        """In the call's thread, before its place is free: the next in line must know that the token is dead."""
        if isinstance(error_of(reply, is_order=True), NotAuthenticated):
            self._deaths = (self._deaths[0] + 1, token)
        return reply

    async def _turn(self, kind: CallKind, within_s: float) -> None:
        try:
            await self.limits.acquire(kind, within_s=within_s)
        except BrokerError:
            raise
        except Exception as error:
            raise BrokerUnavailable(f"no turn within the account's limits: {type(error).__name__}") from error

    async def _penalise(self, lane: Lane, error: RateLimited, sent_at: float) -> None:
        at = asyncio.get_running_loop().time()
        error.retry_after_s = self._penalties[lane].refused(sent_at=sent_at, at=at, asked_s=error.retry_after_s)
        try:
            await self.limits.penalise(error.retry_after_s)
        except Exception as untold:  # the outcome stands, whether or not the others could be told
            _log.warning("the broker's 429 could not be passed on", broker=self._name, error=type(untold).__name__)

    async def _open(self) -> _Opened:
        """Import kiteconnect (and with it requests and twisted, half a second) when it is first needed."""
        async with self._opening:
            if self._closed:
                raise BrokerUnavailable("the adapter is closed; nothing was sent")
            if self._opened is None:
                self._opened = await asyncio.to_thread(_opened, self._api_key, self._root, self._settings.threads)
            return self._opened


def _opened(api_key: str, root: str, threads: int) -> _Opened:
    from kiteconnect import KiteConnect  # type: ignore[import-untyped]  # noqa: PLC0415

    from alphapanda.brokers.zerodha.wire import Exchange, Wire, call_of  # noqa: PLC0415

    class Client(KiteConnect):  # type: ignore[misc]
        def _format_response(self, data: Any) -> Any:
            """Times stay text: read in one place, with their zone, and not 10,000 times by dateutil's guessing."""
            return data

        def _parse_instruments(self, data: Any) -> Any:
            """The dump stays CSV: one bad number in 100,000 rows would lose them all here."""
            return data

    kite = Client(api_key, root=root)
    kite.reqsession.close()
    kite.reqsession = wire = Wire(connections=threads)
    return _Opened(kite, wire, Exchange, call_of)


def _made(opened: _Opened, exchange: "Exchange", token: AccessToken | None, do: Callable[[Kite], Any]) -> Reply:
    """In a thread: the call, and what is known of it afterwards. Never raises: every failure is a reply."""
    kite = copy.copy(opened.kite)
    if token is not None:
        kite.set_access_token(token.token)
    try:
        with opened.call_of(exchange):
            value = do(kite)
    except AlphaPandaError as error:  # ours: what `do` made of the answer
        return exchange.reply(failure=type(error).__name__, reason=str(error))
    except Exception as error:
        return exchange.reply(failure=type(error).__name__)
    return exchange.reply(value=value)


async def _awaited(future: "asyncio.Future[Reply]", exchange: "Exchange", timeout_s: float) -> Reply:
    """The reply, or what can be said at the deadline. requests' own timeouts only bound each single wait."""
    try:
        done, _ = await asyncio.wait({future}, timeout=timeout_s)
    except asyncio.CancelledError:
        exchange.give_up()
        raise
    if done:
        return future.result()
    exchange.give_up()
    return exchange.reply(failure="DeadlinePassed")
