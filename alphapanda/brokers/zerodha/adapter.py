"""Zerodha as its callers see it: the Broker protocol over Kite Connect."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

import structlog

from alphapanda.brokers.protocol import BrokerError, BrokerRejected, BrokerUnavailable, NotAuthenticated
from alphapanda.brokers.zerodha import rows
from alphapanda.brokers.zerodha.changing import Changes
from alphapanda.brokers.zerodha.client import KiteClient
from alphapanda.brokers.zerodha.needs import AccessToken, Limits, Tokens
from alphapanda.brokers.zerodha.placing import Placing
from alphapanda.brokers.zerodha.reading import Reads
from alphapanda.brokers.zerodha.ticker import TickerTiming
from alphapanda.brokers.zerodha.updates import OrderUpdates
from alphapanda.domain.execution import (
    HoldingReport,
    MarginReport,
    OrderChange,
    OrderReport,
    OrderRequest,
    Placement,
    PositionReport,
    SessionReport,
    TradeReport,
)
from alphapanda.domain.ids import Broker, Tag
from alphapanda.domain.vocabulary import SessionState
from alphapanda.live.limits import CallKind
from alphapanda.settings import ZerodhaSettings

_log = structlog.get_logger(__name__)


class ZerodhaBroker:
    """One Kite Connect account. Raises SettingsError when made without an API key, a secret and a plain API root.

    `on_update` gets one row of the order book as an order update brought it: a nudge to read the order, no more.
    `on_reconnect` is called after each connection of the updates' socket: what was sent meanwhile is lost, so the
    book must be read. `on_session_lost` is called once per dead session that the socket noticed.
    """

    def __init__(
        self,
        name: Broker,
        settings: ZerodhaSettings,
        tokens: Tokens,
        limits: Limits,
        *,
        on_update: Callable[[OrderReport], Awaitable[None]],
        on_reconnect: Callable[[], Awaitable[None]],
        on_session_lost: Callable[[str], Awaitable[None]],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        ticker_timing: TickerTiming = TickerTiming(),  # noqa: B008 - frozen
    ) -> None:
        self._name = name
        self._settings = settings
        self._tokens = tokens
        self._now = now
        self._on_session_lost = on_session_lost
        self._client = KiteClient(name, settings, tokens, limits)
        self._reads = Reads(self._client, now)
        self._placing = Placing(self._client, self._reads, settings, now)
        self._changes = Changes(self._client, self._reads, settings.market_protection)
        self._updates = OrderUpdates(
            name, settings, tokens, now, ticker_timing,
            on_update=on_update, on_reconnect=on_reconnect, on_refused=self._socket_refused,
        )  # fmt: skip

    @property
    def name(self) -> Broker:
        return self._name

    async def run(self) -> None:
        """Listen to order updates until cancelled. Outlives the network, the ledger and the session."""
        await self._client.prepare()
        await self._updates.run()

    async def place(self, request: OrderRequest) -> Placement:
        return await self._placing.place(request)

    async def modify(self, broker_order_id: str, change: OrderChange, *, is_exit: bool = False) -> None:
        await self._changes.modify(broker_order_id, change, CallKind.EXIT if is_exit else CallKind.MODIFY)

    async def cancel(self, broker_order_id: str) -> None:
        await self._changes.cancel(broker_order_id)

    async def orders(self) -> Sequence[OrderReport]:
        return await self._reads.orders()

    async def order(self, broker_order_id: str) -> OrderReport | None:
        group = await self._reads.find(broker_order_id)
        return None if group is None else await self._reads.whole(group)

    async def find_by_tag(self, tag: Tag) -> OrderReport | None:
        return await self._reads.by_tag(tag)

    async def trades(self) -> Sequence[TradeReport]:
        return await self._reads.trades()

    async def positions(self) -> Sequence[PositionReport]:
        """Open positions by Kite's net count. Those of products or exchanges not traded here are left out."""
        read = await self._client.read(
            lambda kite: rows.read_traded(kite.positions()["net"], rows.position, "positions")
        )  # fmt: skip
        return [position for position in read if position.quantity]

    async def holdings(self) -> Sequence[HoldingReport]:
        read = await self._client.read(lambda kite: rows.read_traded(kite.holdings(), rows.holding, "holdings"))
        return [holding for holding in read if holding.quantity]

    async def margins(self) -> MarginReport:
        return await self._client.read(lambda kite: rows.margins(kite.margins()))

    async def session(self) -> SessionReport:
        """Asked of Kite each time. A session that Kite calls dead is forgotten; one that cannot be asked is UNKNOWN."""
        token: AccessToken | None = None
        try:
            token = await self._client.token()
            await self._client.read(lambda kite: kite.profile()["user_id"], token=token)
        except NotAuthenticated as error:
            if token is None:
                return self._session(SessionState.LOGIN_REQUIRED, detail=str(error))
            await self._forget(token)
            return self._session(SessionState.EXPIRED, since=self._now(), detail=str(error))
        except BrokerError as error:
            return self._session(SessionState.UNKNOWN, detail=str(error))
        return self._session(SessionState.ACTIVE, since=token.opened_at, detail=f"logged in as {token.user_id}")

    async def open_session(self, request_token: str) -> SessionReport:
        if not request_token:
            raise NotAuthenticated("the request token is empty")
        try:
            token, user_id = await self._client.exchange_login(request_token)
        except BrokerRejected as error:
            raise NotAuthenticated(str(error)) from error
        at = self._now()
        try:
            await self._tokens.write(self._name, token, user_id, at=at)
        except Exception as error:
            raise BrokerUnavailable(
                f"the session was opened and could not be stored ({type(error).__name__}); log in again"
            ) from error
        return self._session(SessionState.ACTIVE, since=at, detail=f"logged in as {user_id}")

    async def close(self) -> None:
        await self._reads.close()
        await self._client.close()

    def _session(self, state: SessionState, *, since: datetime | None = None, detail: str) -> SessionReport:
        return SessionReport(broker=self._name, state=state, since=since, detail=detail)

    async def _forget(self, token: AccessToken) -> None:
        try:
            await self._tokens.forget(self._name, opened_at=token.opened_at)
        except Exception as error:  # it stays dead, whether or not it could be deleted
            _log.warning("the dead session could not be deleted", broker=self._name, error=type(error).__name__)

    async def _socket_refused(self, detail: str) -> bool:
        """A refused socket is a dead session, or a plan without one: only Kite's REST side can tell which."""
        session = await self.session()
        if session.state.needs_login:
            await self._on_session_lost(session.detail or detail)
            return True
        _log.warning(
            "Kite refuses the order-update socket and does not call the session dead (a plan without it, or an "
            "outage?); the book is read instead, and the socket tried again in a while",
            broker=self._name, session=session.state, detail=detail,
        )  # fmt: skip
        return False
