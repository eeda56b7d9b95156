"""The paper broker as its callers see it: the Broker protocol over the paper exchange."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

from redis.asyncio import Redis
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.brokers.paper import chance
from alphapanda.brokers.paper.exchange import Answer, PaperExchange
from alphapanda.brokers.paper.matcher import Matcher
from alphapanda.brokers.paper.reads import PaperReads
from alphapanda.brokers.paper.records import PaperOrder
from alphapanda.brokers.paper.reports import order_report
from alphapanda.brokers.paper.sequencer import CLOSED, Sequencer
from alphapanda.brokers.paper.store import PaperStore
from alphapanda.brokers.paper.updates import Updates
from alphapanda.brokers.protocol import AmbiguousOutcome, BrokerRejected, BrokerUnavailable, NotAuthenticated
from alphapanda.domain.calendar import Calendar
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
from alphapanda.domain.instrument import Instrument, instrument_key
from alphapanda.domain.money import Money
from alphapanda.domain.vocabulary import SessionState
from alphapanda.ledger.instruments import InstrumentCache
from alphapanda.live.quotes import LiveUnavailable, Tick, last_quote
from alphapanda.settings import PaperSettings

REFUSED_TOKEN = "refuse"  # noqa: S105 - a rehearsal's word, no secret
"""`open_session` refuses this token (and an empty one), so that a failed login can be rehearsed."""


class PaperBroker:
    """One account at the paper exchange. Any number of processes may open the same account.

    `calendar` None: the market is always open. `on_update` gets an order's report after each change that this
    process made to it other than by `place()`, whose answer is the report; it is called while `run()` runs, and
    errors it raises are logged only: an update is a nudge, the book is the truth.
    """

    def __init__(
        self,
        name: Broker,
        engine: AsyncEngine,
        redis: "Redis",
        settings: PaperSettings,
        instruments: InstrumentCache,
        calendar: Calendar | None,
        on_update: Callable[[OrderReport], Awaitable[None]],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._name = name
        self._redis = redis
        self._settings = settings
        self._instruments = instruments
        self._now = now
        self._exchange = PaperExchange(settings, calendar)
        store = PaperStore(name, engine, Money(settings.starting_cash))
        self._sequencer = Sequencer(store)
        self._reads = PaperReads(name, store)
        self._updates = Updates(on_update, lambda number: self._reads.whole_order(number, now()), now)
        self._matcher = Matcher(self._exchange, self._sequencer, redis, self._instrument, now, self._updates.put)

    @property
    def name(self) -> Broker:
        return self._name

    async def run(self) -> None:
        """Match and expire resting orders, and send updates, until cancelled. Outlives Redis and Postgres."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._matcher.run())
            tasks.create_task(self._updates.run())

    async def place(self, request: OrderRequest) -> Placement:
        terms = request.terms
        instrument = await self._instrument(terms.exchange, terms.tradingsymbol)
        await self._travel(request.tag)
        key = terms.instrument
        with self._matcher.watching(key):
            quote = await self._quote(key)
            answer = await self._sequencer.submit(
                lambda draft: self._exchange.place(draft, request, instrument, quote, self._now())
            )
        order = _done(answer)
        return Placement(broker_order_id=order.broker_order_id, report=order_report(order, answer.trades))

    async def modify(self, broker_order_id: str, change: OrderChange, *, is_exit: bool = False) -> None:
        await self._travel(broker_order_id)
        order = await self._found(broker_order_id)
        instrument = await self._instrument(order.exchange, order.tradingsymbol)
        key = instrument_key(order.exchange, order.tradingsymbol)
        with self._matcher.watching(key):
            quote = await self._quote(key)
            answer = await self._sequencer.submit(
                lambda draft: self._exchange.modify(draft, broker_order_id, change, instrument, quote, self._now())
            )
        self._updates.put(_done(answer), answer.trades)

    async def cancel(self, broker_order_id: str) -> None:
        await self._travel(broker_order_id)
        try:
            answer = await self._sequencer.submit(
                lambda draft: self._exchange.cancel(draft, broker_order_id, self._now())
            )
        except BrokerRejected:
            found = await self._found(broker_order_id)
            raise BrokerRejected(f"order {broker_order_id} is {found.status}: it cannot be cancelled") from None
        self._updates.put(_done(answer), answer.trades)

    async def orders(self) -> Sequence[OrderReport]:
        await self._opened()
        return await self._reads.orders(self._now())

    async def order(self, broker_order_id: str) -> OrderReport | None:
        await self._opened()
        return await self._reads.order(broker_order_id, self._now())

    async def find_by_tag(self, tag: Tag) -> OrderReport | None:
        """The first order placed with the tag, of any day."""
        await self._opened()
        return await self._reads.find_by_tag(tag, self._now())

    async def trades(self) -> Sequence[TradeReport]:
        await self._opened()
        return await self._reads.trades(self._now())

    async def positions(self) -> Sequence[PositionReport]:
        """Open positions only."""
        await self._opened()
        return await self._reads.positions()

    async def holdings(self) -> Sequence[HoldingReport]:
        """None: nothing is ever delivered here, what was bought stays a position."""
        await self._opened()
        await self._reads.check()
        return ()

    async def margins(self) -> MarginReport:
        await self._opened()
        return await self._reads.margins()

    async def session(self) -> SessionReport:
        await self._opened()
        return await self._reads.session()

    async def open_session(self, request_token: str) -> SessionReport:
        if request_token in ("", REFUSED_TOKEN):
            raise NotAuthenticated("the paper broker refuses this request token")
        await self._opened()
        return await self._reads.set_session(SessionState.ACTIVE, self._now())

    async def close(self) -> None:
        """Wait for what is being written. The engine and the Redis client are the caller's to close."""
        await self._sequencer.close()

    async def _opened(self) -> None:
        """The account exists from the first look at it."""
        if self._sequencer.is_closed:
            raise BrokerUnavailable(CLOSED)
        if self._sequencer.book is None:
            await self._sequencer.refresh()

    async def _found(self, broker_order_id: str) -> OrderReport:
        report = await self.order(broker_order_id)
        if report is None:
            raise BrokerRejected(f"there is no order {broker_order_id}")
        return report

    async def _instrument(self, exchange: str, tradingsymbol: str) -> Instrument | None:
        try:
            return await self._instruments.get(exchange, tradingsymbol)
        except (SQLAlchemyError, OSError) as error:
            raise BrokerUnavailable(f"instruments cannot be read: {type(error).__name__}") from error

    async def _quote(self, key: str) -> Tick | None:
        """The last tick heard while it is fresh, else what Redis has; None where neither knows."""
        heard = self._matcher.quote(key)
        if heard is not None and heard.received_at >= self._now().timestamp() - self._settings.quote_max_age_s:
            return heard
        try:
            return await last_quote(self._redis, key)
        except LiveUnavailable:
            return heard  # unknown or too old: nothing fills on it

    async def _travel(self, key: str) -> None:
        seconds = chance.latency_s(self._settings.latency_ms, self._settings.seed, key)
        if seconds:
            await asyncio.sleep(seconds)


def _done(answer: Answer) -> PaperOrder:
    """The order the command worked on; raises what the command wants its caller to see."""
    if answer.error is not None:
        raise answer.error
    if answer.order is None:
        raise AmbiguousOutcome("the paper exchange gave no answer")
    return answer.order
