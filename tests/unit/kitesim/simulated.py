"""A simulated exchange without a server, at times the test decides."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from alphapanda.kitesim.book import Book
from alphapanda.kitesim.exchange import Exchange
from alphapanda.kitesim.instruments import Instruments, SimInstrument
from alphapanda.kitesim.intake import Placed
from alphapanda.kitesim.market import Market
from alphapanda.kitesim.orders import Fate, SimOrder
from alphapanda.kitesim.settings import SimSettings

BEGAN = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)
USUAL: Mapping[str, str] = {
    "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "quantity": "10", "product": "MIS",
    "order_type": "LIMIT", "price": "1500", "validity": "DAY", "tag": "tag1",
}  # fmt: skip


class Simulated:
    """`now` moves only by `later`."""

    def __init__(self, **settings: Any) -> None:
        self.now = BEGAN
        instruments = Instruments(BEGAN.date())
        self.settings = SimSettings(**settings)
        self.exchange = Exchange(self.settings, instruments, Market(instruments, BEGAN), Book())
        self.book = self.exchange.book

    def instrument(self, key: str = "NSE:INFY") -> SimInstrument:
        found = self.exchange.instruments.get(key)
        assert found is not None
        return found

    def derivative(self, instrument_type: str) -> SimInstrument:
        return next(each for each in self.exchange.instruments if each.instrument_type == instrument_type)

    def tick(self, price: str, *, key: str = "NSE:INFY", volume: int | None = None) -> None:
        self.exchange.tick(self.instrument(key), Decimal(price), self.now, volume=volume)

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.exchange.advance(self.now)

    def placed(self, variety: str = "regular", fate: Fate | None = None, /, **params: str) -> Placed:
        given = {name: value for name, value in {**USUAL, **params}.items() if value}
        return self.exchange.place(variety, given, self.now, fate or Fate())

    def place(self, variety: str = "regular", fate: Fate | None = None, /, **params: str) -> str:
        """Returns the order id."""
        return self.placed(variety, fate, **params).order_id

    def order(self, order_id: str) -> SimOrder:
        return self.book.orders[order_id]

    def path(self, order_id: str) -> list[str]:
        """The statuses the order went through."""
        statuses = [row.status.value for row in self.book.histories[order_id]]
        return [each for index, each in enumerate(statuses) if index == 0 or statuses[index - 1] != each]
