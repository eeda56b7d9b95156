"""From a client's request to rows of the book: one order, the slices of a large one, the legs of an iceberg."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from alphapanda.kitesim.book import Book
from alphapanda.kitesim.errors import KiteError, bad_input, bad_order
from alphapanda.kitesim.instruments import Instruments, SimInstrument
from alphapanda.kitesim.market import Market, automatic_protection, protected_price
from alphapanda.kitesim.orders import ZERO, Fate, SimOrder, Status
from alphapanda.kitesim.portfolio import needed
from alphapanda.kitesim.settings import SimSettings
from alphapanda.kitesim.terms import Terms, read_terms

MOST_SLICES = 10
MARKET_CLOSED = "Markets are closed right now. Use AMO to place orders after market hours."
MARKET_OPEN = "After market orders cannot be placed during market hours."


@dataclass(frozen=True, slots=True)
class Placed:
    """The reply to a placement. `children`: per slice its order id or why it failed; None without slicing.

    `orders` are the rows made, not yet sent to the exchange.
    """

    order_id: str
    orders: tuple[SimOrder, ...]
    children: tuple[dict[str, Any], ...] | None = None


@dataclass(frozen=True, slots=True)
class _Request:
    """What the rows of one placement share."""

    terms: Terms
    instrument: SimInstrument
    placement: str
    now: datetime
    fate: Fate
    parent: str | None = None
    tags: tuple[str, ...] = ()
    meta: Mapping[str, Any] | None = None


class Intake:
    """Makes the rows of new orders; whether they may be made at all is decided here too."""

    def __init__(self, settings: SimSettings, instruments: Instruments, market: Market, book: Book) -> None:
        self._settings = settings
        self._instruments = instruments
        self._market = market
        self._book = book
        self._kept: dict[str, tuple[SimOrder, int, Decimal]] = {}

    def check(self, variety: str, params: Mapping[str, str], *, is_open: bool) -> tuple[Terms, SimInstrument]:
        """The terms of a placement that may be tried. Raises KiteError."""
        terms, instrument = read_terms(variety, params, self._instruments)
        if terms.variety == "amo" and is_open:
            raise bad_order(MARKET_OPEN)
        if terms.variety != "amo" and not is_open:
            raise bad_order(MARKET_CLOSED)
        return terms, instrument

    def accept(self, terms: Terms, instrument: SimInstrument, now: datetime, fate: Fate) -> Placed:
        """Raises KiteError; then nothing was put into the book."""
        number = self._book.numbers.order_id(now)
        request = _Request(terms, instrument, number, now, fate)
        if terms.autoslice:
            return self._accept_slices(request)
        quantity = terms.quantity
        if terms.variety == "iceberg":
            quantity = min(quantity, terms.iceberg_quantity)
            request = replace(request, meta=_iceberg(terms, leg=1, quantity=quantity, before=0))
        return Placed(number, (self._row(request, number, quantity),))

    def next_leg(self, done: SimOrder, now: datetime) -> SimOrder | None:
        """The leg that follows a complete one; None after the last. It is put into the book."""
        iceberg = done.meta.get("iceberg")
        if iceberg is None or iceberg["remaining_quantity"] <= 0:
            return None
        quantity = min(iceberg["leg_quantity"], iceberg["remaining_quantity"])
        remaining = iceberg["remaining_quantity"] - quantity
        leg = msgspec.structs.replace(
            done,
            order_id=self._book.numbers.order_id(now),
            exchange_order_id=None,
            order_timestamp=now,
            exchange_timestamp=None,
            exchange_update_timestamp=None,
            quantity=quantity,
            filled_quantity=0,
            filled_value=ZERO,
            modifications=0,
            guid=self._book.numbers.guid(),
            meta={"iceberg": {**iceberg, "leg": iceberg["leg"] + 1, "remaining_quantity": remaining}},
        )
        return self._book.put(leg, Status.RECEIVED)

    def available(self, *, without: str | None = None) -> Decimal:
        """Rupees free for new orders; `without` leaves one order out, as if it did not rest."""
        free = self._settings.starting_cash
        for key in self._book.portfolio.positions:
            instrument = self._known(key[0], key[1])
            free -= self._book.portfolio.used(key, instrument)
        for order in self._book.open_orders():
            if order.order_id != without:
                free -= self._needed(order)
        return free

    def check_means(self, order: SimOrder, *, replaces: str | None = None) -> None:
        """Raises KiteError (MarginException, HoldingException)."""
        if order.product in ("CNC", "MTF") and not order.is_buy:
            self._check_holdings(order, replaces)
            return
        required, free = self._needed(order), self.available(without=replaces)
        if required > free:
            raise KiteError(
                "MarginException",
                f"Insufficient funds. Required margin is {required:.2f} but available margin is {free:.2f}.",
            )

    def resolved_price(
        self, instrument: SimInstrument, *, is_buy: bool, reference: Decimal, protection: Decimal
    ) -> tuple[Decimal, Decimal]:
        """The limit a protected market order becomes, and the percent it came by."""
        percent = automatic_protection(instrument, reference) if protection == -1 else protection
        return protected_price(self._market.quote(instrument), reference, percent, buying=is_buy), percent

    def _accept_slices(self, request: _Request) -> Placed:
        terms, instrument = request.terms, request.instrument
        size = instrument.freeze_quantity // instrument.lot_size * instrument.lot_size
        if terms.variety == "iceberg":
            raise bad_input("`autoslice` is not allowed for iceberg orders.")
        if terms.quantity <= instrument.freeze_quantity:
            raise bad_input("Order quantity is below the freeze quantity. `autoslice` is not applicable.")
        sizes = list(_sizes(terms.quantity, size))
        if len(sizes) > MOST_SLICES:
            raise bad_input(f"Order quantity exceeds the maximum of {MOST_SLICES} slices.")
        parent = request.placement
        shared = replace(request, tags=("autoslice", f"autoslice:{parent}"))
        orders: list[SimOrder] = []
        children: list[dict[str, Any]] = []
        for index, quantity in enumerate(sizes):
            try:
                if index in request.fate.failing_slices:
                    raise KiteError("MarginException", "Insufficient funds. The slice could not be placed.")
                number = self._book.numbers.order_id(request.now)
                orders.append(self._row(shared, number, quantity))
                children.append({"order_id": number})
            except KiteError as error:
                children.append({"error": _child_error(error)})
        return Placed(parent, tuple(orders), tuple(children))

    def _row(self, request: _Request, number: str, quantity: int) -> SimOrder:
        terms, fate, instrument = request.terms, request.fate, request.instrument
        order_type, price, tags = terms.order_type, terms.price, request.tags
        percent = ZERO
        if order_type == "MARKET":
            last = self._market.quote(instrument).last
            price, percent = self.resolved_price(
                instrument, is_buy=terms.is_buy, reference=last, protection=terms.protection
            )
            order_type, tags = "LIMIT", (*tags, "mktp", f"mktp:{percent:.2f}")
        elif order_type == "SL-M":
            price, percent = ZERO, terms.protection
        lag = fate.lag_s or self._settings.book_lag_s
        order = SimOrder(
            order_id=number,
            placement=request.placement,
            placed_by=self._settings.user_id,
            variety=terms.variety,
            exchange=terms.exchange,
            tradingsymbol=terms.tradingsymbol,
            instrument_token=instrument.token,
            transaction_type=terms.transaction_type,
            order_type=order_type,
            product=terms.product,
            validity=terms.validity,
            validity_ttl=terms.validity_ttl,
            quantity=quantity,
            disclosed_quantity=terms.disclosed_quantity,
            price=price,
            trigger_price=terms.trigger_price,
            protection=percent,
            status=Status.RECEIVED,
            order_timestamp=request.now,
            guid=self._book.numbers.guid(),
            tag=terms.tag,
            tags=(terms.tag, *tags) if terms.tag is not None else tags,
            meta=dict(request.meta or {}),
            is_stuck=fate.stuck,
            is_hidden=fate.hidden,
            visible_from=request.now + timedelta(seconds=lag) if lag else None,
            most_fill=_most_fill(fate, quantity, instrument.lot_size),
            late_fill=fate.late_fill_s,
            reject_after=fate.reject_after_s,
        )
        self.check_means(order)
        return self._book.put(order, Status.RECEIVED)

    def _needed(self, order: SimOrder) -> Decimal:
        """Kept per order while neither it nor its position changes: every placement sums over all open orders."""
        held = self._book.portfolio.net(order)
        kept = self._kept.get(order.order_id)
        if kept is not None and kept[0] is order and kept[1] == held:
            return kept[2]
        instrument = self._known(order.exchange, order.tradingsymbol)
        price = order.price or order.trigger_price or self._market.quote(instrument).last
        rupees = needed(order, instrument, price, held)
        self._kept[order.order_id] = (order, held, rupees)
        return rupees

    def _check_holdings(self, order: SimOrder, replaces: str | None) -> None:
        held = sum(
            each.quantity
            for each in self._settings.holdings
            if (each.exchange, each.tradingsymbol) == (order.exchange, order.tradingsymbol)
        )
        promised = sum(
            each.remaining
            for each in self._book.open_orders()
            if each.key == order.key and each.product == order.product and not each.is_buy and each.order_id != replaces
        )
        free = held + self._book.portfolio.net(order) - promised
        if order.remaining > free:
            raise KiteError(
                "HoldingException",
                f"Insufficient holdings. {order.remaining} are to be sold but only {max(free, 0)} are available.",
            )

    def _known(self, exchange: str, tradingsymbol: str) -> SimInstrument:
        found = self._instruments.learn(exchange, tradingsymbol)
        if found is None:  # an expired derivative of a book kept from an earlier month
            raise bad_order(f"{exchange}:{tradingsymbol} has expired.")
        return found


def _sizes(quantity: int, size: int) -> Iterator[int]:
    while quantity > 0:
        yield min(size, quantity)
        quantity -= size


def _most_fill(fate: Fate, quantity: int, lot_size: int) -> int | None:
    if fate.reject_after_s is not None:
        return 0
    if fate.fill_ratio is None:
        return None
    return int(quantity * fate.fill_ratio) // lot_size * lot_size


def _iceberg(terms: Terms, *, leg: int, quantity: int, before: int) -> dict[str, Any]:
    return {
        "iceberg": {
            "leg": leg,
            "legs": terms.iceberg_legs,
            "leg_quantity": terms.iceberg_quantity,
            "total_quantity": terms.quantity,
            "remaining_quantity": terms.quantity - before - quantity,
        }
    }


def _child_error(error: KiteError) -> dict[str, Any]:
    return {"code": error.status, "error_type": error.error_type, "message": error.message, "data": None}
