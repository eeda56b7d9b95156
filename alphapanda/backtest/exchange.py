"""One account at the paper exchange, in memory and in virtual time: the live adapter's commands without its servers."""

import heapq
from collections.abc import Sequence
from datetime import UTC, datetime

from alphapanda.brokers.paper.book import Account, Book, Draft
from alphapanda.brokers.paper.exchange import Answer, PaperExchange
from alphapanda.brokers.paper.records import PaperOrder, PaperTrade
from alphapanda.domain.calendar import Calendar
from alphapanda.domain.charges import ChargeTable
from alphapanda.domain.execution import OrderRequest
from alphapanda.domain.ids import Broker
from alphapanda.domain.instrument import Instrument
from alphapanda.domain.vocabulary import SessionState
from alphapanda.live.quotes import Tick
from alphapanda.settings import PaperSettings

Change = tuple[PaperOrder, tuple[PaperTrade, ...]]

NEVER = float("inf")
_BEFORE_TRADING = datetime(1970, 1, 1, tzinfo=UTC)


class VirtualExchange:
    """The book of one account. `next_expiry` is the earliest moment at which a resting order may end, epoch seconds."""

    def __init__(
        self, broker: Broker, settings: PaperSettings, calendar: Calendar | None, charges: ChargeTable
    ) -> None:
        self._rules = PaperExchange(settings, calendar, charges)
        account = Account(0, settings.starting_cash, 0, {}, SessionState.ACTIVE, _BEFORE_TRADING)
        self.book = Book(broker, account)
        self._expiries: list[tuple[float, str]] = []

    @property
    def next_expiry(self) -> float:
        return self._expiries[0][0] if self._expiries else NEVER

    def place(
        self, request: OrderRequest, instrument: Instrument | None, quote: Tick | None, now: datetime
    ) -> tuple[Answer, list[Change]]:
        """Raises BrokerRejected where the broker refuses it at the door."""
        draft = Draft(self.book)
        answer = self._rules.place(draft, request, instrument, quote, now)
        return answer, self._land(draft)

    def concerns(self, tick: Tick) -> bool:
        """Whether the tick may match a resting order: a look at two floats."""
        gate = self.book.gate(tick.instrument)
        return gate is not None and gate.lets_through(tick)

    def match(self, instrument: Instrument, tick: Tick, now: datetime) -> list[Change]:
        draft = Draft(self.book)
        self._rules.match(draft, instrument, (tick,), now)
        return self._land(draft)

    def expire(self, moment: float) -> list[Change]:
        """End the orders whose time is over at `moment`, epoch seconds."""
        draft = Draft(self.book)
        self._rules.expire(draft, datetime.fromtimestamp(moment, UTC))
        changes = self._land(draft)
        while self._expiries and (self._expiries[0][0] <= moment or self._expiries[0][1] not in self.book.orders):
            heapq.heappop(self._expiries)
        return changes

    def _land(self, draft: Draft) -> list[Change]:
        if not draft.changed:
            return []
        known = self.book.orders
        fresh: Sequence[PaperOrder] = [
            order for number, order in draft.orders.items() if order.is_resting and number not in known
        ]
        self.book.apply(draft, self.book.account.version + 1)
        for order in fresh:
            heapq.heappush(self._expiries, (order.expires_at.timestamp(), order.broker_order_id))
        return [(order, draft.trades_of(number)) for number, order in draft.orders.items()]
