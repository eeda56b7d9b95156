"""A paper exchange in memory and virtual time, the way a backtest would use it; no servers."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from alphapanda.brokers.paper.book import Account, Book, Draft
from alphapanda.brokers.paper.exchange import Answer, PaperExchange
from alphapanda.brokers.paper.records import PaperOrder, PaperTrade
from alphapanda.domain.calendar import Calendar
from alphapanda.domain.execution import OrderChange, OrderRequest
from alphapanda.domain.ids import Broker, OrderId, Tag
from alphapanda.domain.instrument import Instrument, InstrumentType
from alphapanda.domain.money import Price
from alphapanda.domain.signal import OrderTerms
from alphapanda.domain.vocabulary import Exchange, SessionState
from alphapanda.live.quotes import Tick
from alphapanda.settings import PaperSettings

PAPER = Broker("paper")
START = datetime(2026, 11, 19, 5, 0, tzinfo=UTC)  # a Thursday, 10:30 in India
INFY = Instrument(Exchange.NSE, "INFY", 408065, InstrumentType.EQUITY, "NSE_EQ_FNO", Decimal("0.05"), 1)
BANDED = Instrument(
    Exchange.NSE, "BANDED", 1, InstrumentType.EQUITY, "NSE_EQ", Decimal("0.05"), 1,
    lower_circuit=Price(Decimal("95")), upper_circuit=Price(Decimal("105")),
)  # fmt: skip
FUTURE = Instrument(
    Exchange.NFO, "NIFTY26NOVFUT", 2, InstrumentType.FUTURE, "NSE_FNO", Decimal("0.1"), 65, expiry=date(2026, 11, 26)
)
CALL = Instrument(
    Exchange.NFO, "NIFTY26NOV26000CE", 3, InstrumentType.CALL, "NSE_FNO", Decimal("0.05"), 65,
    expiry=date(2026, 11, 26), strike=Decimal(26000),
)  # fmt: skip
INDEX = Instrument(Exchange.NSE, "NIFTY 50", 4, InstrumentType.INDEX, "NSE_EQ", Decimal("0.05"), 1)

_T = TypeVar("_T")


def terms(**changes: Any) -> OrderTerms:
    """BUY 10 NSE:INFY @ MARKET, MIS, DAY, unless changed."""
    chosen: dict[str, Any] = {
        "exchange": "NSE", "tradingsymbol": "INFY", "side": "BUY", "quantity": 10, "order_type": "MARKET",
        "product": "MIS",
    }  # fmt: skip
    return OrderTerms(**{**chosen, **changes})


def request(tag: str = "T1", **changes: Any) -> OrderRequest:
    return OrderRequest(broker=PAPER, order_id=OrderId(f"paper:{tag}"), tag=Tag(tag), terms=terms(**changes))


class Desk:
    """One account. Each tick moves the time on by a second; `last` is the quote a new order meets."""

    def __init__(self, calendar: Calendar | None = None, **settings: Any) -> None:
        chosen: dict[str, Any] = {"slippage_bps": Decimal(0), **settings}
        self.settings = PaperSettings(**chosen)
        self.exchange = PaperExchange(self.settings, calendar)
        self.now = START
        account = Account(0, self.settings.starting_cash, 0, {}, SessionState.ACTIVE, START)
        self.book = Book(PAPER, account)
        self.orders: dict[str, PaperOrder] = {}
        self.trades: list[PaperTrade] = []
        self.last: dict[str, Tick] = {}
        self.instruments = {item.key: item for item in (INFY, BANDED, FUTURE, CALL, INDEX)}
        self._tags = 0

    def place(self, **changes: Any) -> PaperOrder:
        self._tags += 1
        answer = self.send(request(f"T{self._tags}", **changes))
        if answer.error is not None:
            raise answer.error
        assert answer.order is not None
        return answer.order

    def send(self, wanted: OrderRequest) -> Answer:
        key = wanted.terms.instrument
        return self._run(
            lambda draft: self.exchange.place(draft, wanted, self.instruments.get(key), self.last.get(key), self.now)
        )

    def modify(self, order: PaperOrder, **change: Any) -> PaperOrder:
        answer = self._run(
            lambda draft: self.exchange.modify(
                draft, order.broker_order_id, OrderChange(**change), self.instruments[order.key],
                self.last.get(order.key), self.now,
            )
        )  # fmt: skip
        assert answer.order is not None
        return answer.order

    def cancel(self, order: PaperOrder) -> PaperOrder:
        answer = self._run(lambda draft: self.exchange.cancel(draft, order.broker_order_id, self.now))
        assert answer.order is not None
        return answer.order

    def quote(
        self, price: float, volume: int | None = None, *, bid: float | None = None, ask: float | None = None,
        instrument: Instrument = INFY,
    ) -> Tick:  # fmt: skip
        """A new last quote that is not matched against resting orders."""
        self.now += timedelta(seconds=1)
        at = self.now.timestamp()
        tick = self.last[instrument.key] = Tick(instrument.key, price, at, at, volume, bid, ask)
        return tick

    def tick(self, price: float, volume: int | None = None, **depth: Any) -> Tick:
        """A new last quote, matched against resting orders."""
        tick = self.quote(price, volume, **depth)
        self.match([tick])
        return tick

    def match(self, ticks: list[Tick]) -> None:
        instrument = self.instruments[ticks[0].instrument]
        self._run(lambda draft: self.exchange.match(draft, instrument, ticks, self.now))

    def expire(self) -> None:
        self._run(lambda draft: self.exchange.expire(draft, self.now))

    def current(self, order: PaperOrder) -> PaperOrder:
        return self.orders[order.broker_order_id]

    def position(self, instrument: Instrument = INFY, product: str = "MIS") -> int:
        found = [p for p in self.book.positions.values() if p.tradingsymbol == instrument.tradingsymbol]
        return sum(p.quantity for p in found if p.product == product)

    def _run(self, command: Callable[[Draft], _T]) -> _T:
        draft = Draft(self.book)
        result = command(draft)
        self.book.apply(draft, self.book.account.version + 1)
        self.orders.update(draft.orders)
        self.trades.extend(draft.trades)
        return result
