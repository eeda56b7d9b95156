"""The paper exchange's long-lived part: ticks in, resting orders matched and expired, reports of changes out.

Ticks cost a dictionary write and a look at one gate of two floats, unless they reach a resting order. Those that do
wait in a backlog per instrument, in their order; what gathers while a change is being written is matched together.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing, contextmanager, suppress
from datetime import datetime

import structlog
from redis.asyncio import Redis

from alphapanda.brokers.paper.book import Draft
from alphapanda.brokers.paper.exchange import PaperExchange
from alphapanda.brokers.paper.matching import conflate
from alphapanda.brokers.paper.records import PaperOrder, PaperTrade
from alphapanda.brokers.paper.sequencer import Sequencer
from alphapanda.brokers.protocol import BrokerError
from alphapanda.domain.instrument import Instrument
from alphapanda.live.quotes import LiveUnavailable, Tick, last_quotes, tick_batches

_POLL_S = 0.25
_RETRY_S = 0.5
_BACKLOG = 4096
"""Ticks kept per instrument while the database does not answer; beyond it only new highs and lows are kept."""

Instruments = Callable[[str, str], Awaitable[Instrument | None]]
Changed = list[tuple[PaperOrder, tuple[PaperTrade, ...]]]

_log = structlog.get_logger(__name__)


class Matcher:
    """Feeds one account's book with ticks while `run()` runs; `report` gets each order it changed."""

    def __init__(
        self,
        exchange: PaperExchange,
        sequencer: Sequencer,
        redis: "Redis",
        instruments: Instruments,
        now: Callable[[], datetime],
        report: Callable[[PaperOrder, tuple[PaperTrade, ...]], None],
    ) -> None:
        self._exchange = exchange
        self._sequencer = sequencer
        self._redis = redis
        self._instruments = instruments
        self._now = now
        self._report = report
        self._quotes: dict[str, Tick] = {}
        self._backlog: dict[str, list[Tick]] = {}
        self._watched: Counter[str] = Counter()
        self._wake = asyncio.Event()

    def quote(self, key: str) -> Tick | None:
        """The last tick of `NSE:INFY` heard here; None when not listening."""
        return self._quotes.get(key)

    @contextmanager
    def watching(self, key: str) -> Iterator[None]:
        """Keep every tick of the instrument while an order is on its way into the book: none may slip between."""
        self._watched[key] += 1
        try:
            yield
        finally:
            self._watched[key] -= 1
            if not self._watched[key]:
                del self._watched[key]
            if key in self._backlog:
                self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._work())

    def take(self, ticks: Iterable[Tick]) -> None:
        """Hear ticks: remember the last of each instrument, keep those that concern an order."""
        book = self._sequencer.book
        quotes, watched = self._quotes, self._watched
        for tick in ticks:
            key = tick.instrument
            quotes[key] = tick
            gate = book.gate(key) if book is not None else None
            if gate is not None and gate.lets_through(tick):
                self._keep(key, tick)
                self._wake.set()
            elif key in watched:
                self._keep(key, tick)

    async def step(self, *, catch_up: bool) -> None:
        """Match what gathered; with `catch_up` also notice other processes' orders and expire."""
        if catch_up:
            for key in await self._sequencer.refresh():
                quote = self._quotes.get(key)
                if quote is not None:
                    self._keep(key, quote)
        work, self._backlog = self._backlog, {}
        if not work and not catch_up:
            return
        try:
            changed = await self._match(work, expire=catch_up)
        except BaseException:
            self._put_back(work)
            raise
        for order, trades in changed:
            self._report(order, trades)

    async def _match(self, work: dict[str, list[Tick]], *, expire: bool) -> Changed:
        known: dict[str, Instrument] = {}
        for key in work:
            exchange, _, tradingsymbol = key.partition(":")
            instrument = await self._instruments(exchange, tradingsymbol)
            if instrument is None:
                _log.warning("resting orders cannot be matched: the instrument is not known", instrument=key)
            else:
                known[key] = instrument

        def match(draft: Draft) -> Changed:
            now = self._now()
            before = dict(draft.orders)
            if expire:
                self._exchange.expire(draft, now)
            for key, instrument in known.items():
                self._exchange.match(draft, instrument, work[key], now)
            orders = (order for number, order in draft.orders.items() if before.get(number) is not order)
            return [(order, draft.trades_of(order.broker_order_id)) for order in orders]

        return await self._sequencer.submit(match)

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        next_poll = loop.time()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(next_poll):
                    await self._wake.wait()
            catch_up = loop.time() >= next_poll  # also when ticks never let it sleep
            if catch_up:
                next_poll = loop.time() + _POLL_S
            self._wake.clear()
            try:
                await self.step(catch_up=catch_up)
            except BrokerError as error:
                _log.warning("the paper exchange cannot write its book; it goes on trying", error=error.message)
                await asyncio.sleep(_RETRY_S)
                self._wake.set()

    async def _listen(self) -> None:
        while True:
            try:
                async with aclosing(tick_batches(self._redis)) as batches:
                    async for batch in batches:
                        if batch:
                            self.take(batch)
                        else:
                            await self._reread()
            except (LiveUnavailable, BrokerError) as error:
                _log.warning("the paper exchange hears no ticks; it subscribes again", error=error.message)
            self._quotes.clear()  # what is not heard any more may have moved: place() then asks Redis
            await asyncio.sleep(_RETRY_S)

    async def _reread(self) -> None:
        """A subscription has begun: quotes published before it were not heard."""
        self._quotes.clear()
        await self._sequencer.refresh()
        book = self._sequencer.book
        keys = list(book.by_instrument) if book is not None else []
        found = await last_quotes(self._redis, keys)
        self.take(tick for tick in found.values() if tick is not None)

    def _keep(self, key: str, tick: Tick) -> None:
        ticks = self._backlog.setdefault(key, [])
        ticks.append(tick)
        if len(ticks) > _BACKLOG:
            self._backlog[key] = conflate(ticks)

    def _put_back(self, work: dict[str, list[Tick]]) -> None:
        for key, ticks in work.items():
            self._backlog[key] = ticks + self._backlog.get(key, [])
