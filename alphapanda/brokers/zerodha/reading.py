"""What the broker's books say, read in full and shared by all who ask at the same time."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime

from alphapanda.brokers.protocol import BrokerRejected
from alphapanda.brokers.zerodha.book import Book, Group, TradeBook
from alphapanda.brokers.zerodha.client import KiteClient
from alphapanda.brokers.zerodha.coalesced import Coalesced
from alphapanda.brokers.zerodha.rows import entry, read_all
from alphapanda.brokers.zerodha.slices import Shortfall
from alphapanda.domain.execution import OrderReport, TradeReport
from alphapanda.domain.ids import Tag

_MOST_SHORTFALLS = 1000


def is_order_id(text: str) -> bool:
    """Whether it could be one at all: ids become part of a path, in which `..` would name another call."""
    return re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text) is not None


class Reads:
    """Orders and trades. Two calls serve any number of orders: Kite has no lookup by tag, and 10 reads a second.

    Books are made in the thread that reads them: 5,000 orders, a day's most, take a tenth of a second.
    """

    def __init__(self, client: KiteClient, now: Callable[[], datetime]) -> None:
        self._client = client
        self._now = now
        self._book = Coalesced(self._read_book)
        self._trades = Coalesced(self._read_trades)
        self._shortfalls: dict[str, Shortfall] = {}

    def remember(self, broker_order_id: str, shortfall: Shortfall) -> None:
        """Only the answer to the placement told of it; a lost one leaves the order's rest open, never invented."""
        self._shortfalls[broker_order_id] = shortfall
        while len(self._shortfalls) > _MOST_SHORTFALLS:
            del self._shortfalls[next(iter(self._shortfalls))]

    async def orders(self) -> list[OrderReport]:
        book = await self._book.get()
        return [self._told(group, None) for group in book.groups]

    async def by_tag(self, tag: Tag) -> OrderReport | None:
        group = (await self._book.get()).by_tag(tag)
        return None if group is None else await self.whole(group)

    async def find(self, broker_order_id: str) -> Group | None:
        """The order in the book, else in its own history, which knows it while the book still lags."""
        if not is_order_id(broker_order_id):
            return None
        group = (await self._book.get()).by_id(broker_order_id)
        return group if group is not None else await self._from_history(broker_order_id)

    async def whole(self, group: Group) -> OrderReport:
        """The order with its trades."""
        if not group.report().filled_quantity:
            return self._told(group, ())
        return self._told(group, (await self._trades.get()).of(group))

    async def trades(self) -> list[TradeReport]:
        """All executions, each under the id that its order has in `orders()`."""
        read = await self._trades.get()
        book = await self._book.get()  # afterwards: an order is in the book before it trades
        order_of = {each: group.broker_order_id for group in book.groups for each in group.ids}
        return [
            trade.model_copy(update={"broker_order_id": order_of.get(trade.broker_order_id, trade.broker_order_id)})
            for trade in read.trades
        ]

    async def close(self) -> None:
        await self._book.close()
        await self._trades.close()

    def _told(self, group: Group, trades: Sequence[TradeReport] | None) -> OrderReport:
        report = group.report(trades)
        shortfall = self._shortfalls.get(group.broker_order_id)
        return report if shortfall is None else shortfall.told_in(report, group)

    async def _read_book(self) -> Book:
        book = await self._client.read(lambda kite: Book(kite.orders(), now=self._now()))
        # The book is of the day: each of its rows was an order call, whoever made it.
        self._client.limits.learn_orders_today(sum(len(group.entries) for group in book.groups))
        return book

    async def _read_trades(self) -> TradeBook:
        return await self._client.read(lambda kite: TradeBook(kite.trades(), now=self._now()))

    async def _from_history(self, broker_order_id: str) -> Group | None:
        try:
            return await self._client.read(lambda kite: _last(kite.order_history(broker_order_id), self._now()))
        except BrokerRejected:
            return None


def _last(history: object, now: datetime) -> Group | None:
    """The order as its newest line has it."""
    entries = read_all(history, lambda row: entry(row, now=now), "order history").rows
    return Group(entries[-1:]) if entries else None
