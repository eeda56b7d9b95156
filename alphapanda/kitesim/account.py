"""One simulated account as everything else sees it: the exchange, its session, its faults, and what is kept of it."""

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from alphapanda.kitesim import rows
from alphapanda.kitesim.book import Book, Event
from alphapanda.kitesim.errors import bad_order
from alphapanda.kitesim.exchange import Exchange
from alphapanda.kitesim.faults import Faults
from alphapanda.kitesim.instruments import Instruments
from alphapanda.kitesim.limits import RateLimits
from alphapanda.kitesim.market import Market, Quote
from alphapanda.kitesim.orders import SimOrder
from alphapanda.kitesim.sessions import Sessions, SessionState
from alphapanda.kitesim.settings import SimSettings
from alphapanda.kitesim.store import Store

_SESSION = "session"
_MARKET = "market_open"


class Account:
    """`on_events`, `on_tick` and `on_session_end` are set by who tells tickers and postbacks."""

    def __init__(self, settings: SimSettings) -> None:
        self.settings = settings
        instruments = Instruments(self.now().date())
        self.book = Book()
        self.exchange = Exchange(settings, instruments, Market(instruments, self.now()), self.book)
        self.sessions = Sessions(settings)
        self.faults = Faults(settings.seed)
        self.limits = RateLimits(settings)
        self.requests: Counter[str] = Counter()
        self.on_events: Callable[[list[Event]], None] = lambda _events: None
        self.on_tick: Callable[[Quote], None] = lambda _quote: None
        self.on_session_end: Callable[[], None] = lambda: None
        self._store = Store(settings.state_file) if settings.state_file is not None else None
        for held in settings.holdings:
            instruments.learn(held.exchange, held.tradingsymbol)
        if self._store is not None:
            self._load(self._store)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    def commit(self) -> None:
        """Store what has changed, then tell of it. Every change is followed by this before anyone hears of it."""
        changes = self.book.take_changes()
        if self._store is not None and changes:
            self._store.save(changes, self.book)
        if changes.events:
            self.on_events(changes.events)

    def open_session(self, api_key: str, request_token: str, checksum: str) -> str:
        """Raises KiteError. The session before it ends, as after a login elsewhere."""
        token = self.sessions.exchange(api_key, request_token, checksum, self.now())
        self.on_session_end()
        self._keep_session()
        return token

    def fresh_session(self) -> str:
        """An access token without the detour through a login."""
        token = self.sessions.open(self.now())
        self.on_session_end()
        self._keep_session()
        return token

    def end_session(self) -> None:
        self.sessions.end()
        self.on_session_end()
        self._keep_session()

    def set_market(self, *, is_open: bool) -> None:
        if is_open:
            self.exchange.open_market(self.now())
        else:
            self.exchange.close_market(self.now())
        if self._store is not None:
            self._store.keep(_MARKET, b"1" if is_open else b"0")
        self.commit()

    def close(self) -> None:
        if self._store is not None:
            self._store.close()

    def order_rows(self) -> list[dict[str, Any]]:
        """The order book as clients see it now. Not sorted: sorting by a digest scatters it the same way every time."""
        now = self.now()
        visible = [order for order in self.book.orders.values() if order.is_visible(now)]
        visible.sort(key=lambda order: order.order_id[::-1])
        return [rows.order_row(order, self.settings.user_id) for order in visible]

    def history_rows(self, order_id: str) -> list[dict[str, Any]]:
        self.visible_order(order_id)
        return [rows.order_row(order, self.settings.user_id) for order in self.book.histories[order_id]]

    def trade_rows(self, order_id: str | None = None) -> list[dict[str, Any]]:
        """Of all orders, or of one. Raises KiteError for an order that is not to be seen."""
        if order_id is not None:
            self.visible_order(order_id)
        now = self.now()
        wanted = (trade for trade in self.book.trades if order_id in (None, trade.order_id))
        return [rows.trade_row(trade) for trade in wanted if self.book.orders[trade.order_id].is_visible(now)]

    def position_rows(self) -> list[dict[str, Any]]:
        return rows.position_rows(self.book.portfolio, self.exchange.market, self._tokens())

    def holding_rows(self) -> list[dict[str, Any]]:
        day = f"{self.now():%Y-%m-%d}"
        market = self.exchange.market
        return rows.holding_rows(self.settings.holdings, self.book.portfolio, market, self._tokens(), day)

    def visible_order(self, order_id: str) -> SimOrder:
        found = self.book.orders.get(order_id)
        if found is None or not found.is_visible(self.now()):
            raise bad_order("Couldn't find that `order_id`.")
        return found

    def _tokens(self) -> dict[str, tuple[int, int]]:
        return {each.key: (each.token, each.multiplier) for each in self.exchange.instruments}

    def _keep_session(self) -> None:
        if self._store is not None:
            self._store.keep(_SESSION, msgspec.json.encode(self.sessions.state))

    def _load(self, store: Store) -> None:
        store.load(self.book, self.exchange.instruments)
        session, market = store.fact(_SESSION), store.fact(_MARKET)
        if session is not None:
            self.sessions.state = msgspec.json.decode(session, type=SessionState)
        if market is not None:
            self.exchange.is_open = market == b"1"
