"""Prices of the simulation, and what a trader may take from them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from alphapanda.kitesim.instruments import Instruments, SimInstrument

_PERCENT = Decimal("0.01")
_CIRCUIT, _DERIVATIVE_CIRCUIT = Decimal("0.20"), Decimal(10)
# Zerodha's automatic protection by price: upper end (exclusive) and percent, for shares and futures, and for options.
_SHARE_BANDS = ((100, Decimal(2)), (500, Decimal(1)))
_ABOVE_SHARE_BANDS = Decimal("0.5")
_OPTION_BANDS = ((10, Decimal(5)), (100, Decimal(3)), (500, Decimal(2)))
_ABOVE_OPTION_BANDS = Decimal(1)


@dataclass(slots=True)
class Quote:
    """One instrument's market. `left_*`: shares still to be had from this tick, by the side that takes; None: any."""

    instrument: SimInstrument
    last: Decimal
    bid: Decimal
    ask: Decimal
    at: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    last_quantity: int = 0
    volume: int = 0
    turnover: Decimal = Decimal(0)
    left_to_buy: int | None = None
    left_to_sell: int | None = None

    def met_by(self, *, buying: bool) -> Decimal:
        """What a taker of this side pays or gets."""
        return self.ask if buying else self.bid

    def left(self, *, buying: bool) -> int | None:
        return self.left_to_buy if buying else self.left_to_sell

    def take(self, quantity: int, *, buying: bool) -> None:
        if buying and self.left_to_buy is not None:
            self.left_to_buy -= quantity
        elif not buying and self.left_to_sell is not None:
            self.left_to_sell -= quantity

    @property
    def lower_circuit(self) -> Decimal:
        """The least an order may name, by the close before."""
        instrument = self.instrument
        return instrument.on_grid(self.close * (1 - _CIRCUIT)) if instrument.is_share else instrument.tick_size

    @property
    def upper_circuit(self) -> Decimal:
        factor = 1 + _CIRCUIT if self.instrument.is_share else _DERIVATIVE_CIRCUIT
        return self.instrument.on_grid(self.close * factor)

    @property
    def average(self) -> Decimal:
        return self.turnover / self.volume if self.volume else self.last


class Market:
    """Each instrument's quote; before its first tick that is its usual price, with any volume.

    The first tick opens the day and stands for the close before it: fed prices may be far from the usual ones.
    """

    def __init__(self, instruments: Instruments, now: datetime) -> None:
        self._instruments = instruments
        self._began = now
        self._quotes: dict[str, Quote] = {}
        self._opened: set[str] = set()

    def quote(self, instrument: SimInstrument) -> Quote:
        found = self._quotes.get(instrument.key)
        if found is None:
            price = instrument.base_price
            found = Quote(instrument, price, price, price, self._began, price, price, price, price)
            self._quotes[instrument.key] = found
        return found

    def tick(
        self,
        instrument: SimInstrument,
        last: Decimal,
        now: datetime,
        *,
        volume: int | None = None,
        bid: Decimal | None = None,
        ask: Decimal | None = None,
    ) -> Quote:
        """A trade at `last` rupees; at most `volume` shares can be had from it on either side (None: any number)."""
        quote = self.quote(instrument)
        if instrument.key not in self._opened:
            self._opened.add(instrument.key)
            quote.open = quote.high = quote.low = quote.close = last
        quote.last, quote.bid, quote.ask, quote.at = last, bid or last, ask or last, now
        quote.high, quote.low = max(quote.high, last), min(quote.low, last)
        quote.last_quantity = volume or 1
        quote.volume += quote.last_quantity
        quote.turnover += last * quote.last_quantity
        quote.left_to_buy = quote.left_to_sell = volume
        return quote

    def last(self, key: str) -> Decimal:
        instrument = self._instruments.get(key)
        return self.quote(instrument).last if instrument is not None else Decimal(0)

    def __iter__(self) -> Iterator[Quote]:
        return iter(self._quotes.values())


def automatic_protection(instrument: SimInstrument, price: Decimal) -> Decimal:
    """The percent that `market_protection=-1` stands for."""
    bands, above = (_OPTION_BANDS, _ABOVE_OPTION_BANDS) if instrument.is_option else (_SHARE_BANDS, _ABOVE_SHARE_BANDS)
    return next((percent for below, percent in bands if price < below), above)


def protected_price(quote: Quote, price: Decimal, percent: Decimal, *, buying: bool) -> Decimal:
    """The worst price that a protected market order may trade at, on the grid and inside the circuit limits."""
    distance = price * percent * _PERCENT
    limit = quote.instrument.on_grid(price + distance if buying else price - distance)
    return max(quote.lower_circuit, min(quote.upper_circuit, limit))
