"""The broker and the exchange behind it: orders in, rows of the book and trades out. Pure but for the clock handed in.

An order walks Kite's path within the call that places it; what takes time (a fault's delay, a TTL) is a job that
`advance` runs when it is due.
"""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import msgspec

from alphapanda.kitesim.book import Book
from alphapanda.kitesim.errors import KiteError, bad_input, bad_order
from alphapanda.kitesim.instruments import Instruments, SimInstrument
from alphapanda.kitesim.intake import Intake, Placed
from alphapanda.kitesim.market import Market, Quote
from alphapanda.kitesim.matching import STOPS, is_triggered, match
from alphapanda.kitesim.orders import ZERO, Fate, Job, JobKind, SimOrder, Status
from alphapanda.kitesim.settings import SimSettings
from alphapanda.kitesim.terms import check_prices, check_quantity, decimal, whole

_LIVE = (Status.OPEN, Status.TRIGGER_PENDING, Status.AMO_RECEIVED)
TOO_MANY_MODIFICATIONS = "Maximum allowed order modifications exceeded."
REJECTED_BY_EXCHANGE = "Your order was rejected by the exchange."


class Exchange:
    """One account. Every method that changes something takes `now` (aware UTC) and may raise KiteError."""

    def __init__(self, settings: SimSettings, instruments: Instruments, market: Market, book: Book) -> None:
        self.book = book
        self.market = market
        self.instruments = instruments
        self.intake = Intake(settings, instruments, market, book)
        self.is_open = settings.market_open
        self._most_modifications = settings.modifications_per_order

    def place(self, variety: str, params: Mapping[str, str], now: datetime, fate: Fate) -> Placed:
        terms, instrument = self.intake.check(variety, params, is_open=self.is_open)
        placed = self.intake.accept(terms, instrument, now, fate)
        for order in placed.orders:
            if order.is_stuck:
                if fate.stuck_s is not None:
                    self.book.later(now, fate.stuck_s, JobKind.RELEASE, order_id=order.order_id)
                continue
            if order.is_hidden and fate.hidden_s is not None:
                self.book.later(now, fate.hidden_s, JobKind.RELEASE, order_id=order.order_id)
            self._admit(order, now)
        return placed

    def place_later(self, variety: str, params: Mapping[str, str], now: datetime, seconds: float) -> None:
        """Checked now, placed in some seconds: nobody will be told."""
        self.intake.check(variety, params, is_open=self.is_open)
        self.book.later(now, seconds, JobKind.PLACE, doc={**params, "variety": variety})

    def modify(self, variety: str, order_id: str, params: Mapping[str, str], now: datetime) -> None:
        order = self._changeable(variety, order_id, now, "modified")
        if order.modifications >= self._most_modifications:
            raise KiteError("NetworkException", TOO_MANY_MODIFICATIONS)
        changed = self._modified(order, params, now)
        self.intake.check_means(changed, replaces=order_id)
        resting = Status.TRIGGER_PENDING if changed.order_type in STOPS and not changed.is_triggered else Status.OPEN
        if order.status is Status.AMO_RECEIVED:
            self.book.put(changed, Status.AMO_RECEIVED)
            return
        pending = (Status.MODIFY_VALIDATION_PENDING, Status.MODIFY_PENDING, Status.MODIFIED)
        changed = self.book.put(changed, *pending, resting)
        self.book.tell(changed)
        self._meet(changed, now, arriving=True)

    def cancel(self, variety: str, order_id: str, now: datetime) -> None:
        order = self._changeable(variety, order_id, now, "cancelled")
        self._cancel(order, now)
        if order.late_fill is not None:
            self.book.later(now, order.late_fill, JobKind.LATE_FILL, order_id=order_id)

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
        """A trade in the market; resting orders that it reaches are filled, the oldest first."""
        quote = self.market.tick(instrument, last, now, volume=volume, bid=bid, ask=ask)
        if self.is_open:
            for order in self.book.resting(instrument.key):
                self._meet(order, now, arriving=False)
        return quote

    def advance(self, now: datetime) -> None:
        """Run what is due."""
        for job in self.book.take_due(now):
            self._run(job, now)

    def open_market(self, now: datetime) -> None:
        """AMO orders go to the exchange."""
        self.is_open = True
        for order in list(self.book.open_orders()):
            if order.status is Status.AMO_RECEIVED:
                self._to_exchange(order, now)

    def close_market(self, now: datetime) -> None:
        """What still rests is cancelled."""
        self.is_open = False
        for order in list(self.book.open_orders()):
            if order.status.is_at_exchange:
                self._cancel(order, now)

    def release(self, order_id: str | None, now: datetime) -> int:
        """Let go what a fault holds: orders stuck, hidden, lagging or held back in part. Returns how many (None: all).

        Raises KiteError for an unknown order.
        """
        held = [self._known(order_id)] if order_id is not None else list(self.book.orders.values())
        held = [each for each in held if _is_held(each, now)]
        for order in held:
            was_stuck, was_invisible = order.is_stuck, not order.is_visible(now)
            order = self.book.put(  # noqa: PLW2901
                msgspec.structs.replace(
                    order, is_stuck=False, is_hidden=False, visible_from=None,
                    most_fill=0 if order.reject_after is not None else None,
                )
            )  # fmt: skip
            if was_invisible:
                self.book.tell(order, order.status)
            if was_stuck:
                self._admit(order, now)
            elif order.status.is_at_exchange:
                self._meet(order, now, arriving=True)
        return len(held)

    def _admit(self, order: SimOrder, now: datetime) -> None:
        if order.variety == "amo" and not self.is_open:
            self.book.put(order, Status.AMO_RECEIVED)
        else:
            self._to_exchange(order, now)

    def _to_exchange(self, order: SimOrder, now: datetime) -> None:
        order = self.book.put(order, Status.VALIDATION_PENDING, Status.OPEN_PENDING)
        refusal = self._exchange_refusal(order)
        if refusal is not None:
            self._reject(order, refusal, now)
            return
        order = msgspec.structs.replace(
            order,
            exchange_order_id=self.book.numbers.exchange_order_id(),
            exchange_timestamp=now,
            exchange_update_timestamp=now,
        )
        order = self.book.put(order, Status.TRIGGER_PENDING if order.order_type in STOPS else Status.OPEN)
        if order.reject_after is not None:
            self.book.later(now, order.reject_after, JobKind.REJECT, order_id=order.order_id)
            return
        if order.validity == "TTL":
            self.book.later(now, order.validity_ttl * 60, JobKind.EXPIRE, order_id=order.order_id)
        order = self._meet(order, now, arriving=True)
        if order.validity == "IOC" and not order.status.is_terminal:
            self._cancel(order, now)

    def _exchange_refusal(self, order: SimOrder) -> str | None:
        instrument = self._instrument(order)
        if order.quantity > instrument.freeze_quantity:
            return f"Order quantity exceeds the freeze quantity of {instrument.freeze_quantity}."
        quote = self.market.quote(instrument)
        if order.price and not quote.lower_circuit <= order.price <= quote.upper_circuit:
            return f"The price is outside the circuit limits {quote.lower_circuit} - {quote.upper_circuit}."
        if order.order_type in STOPS and not order.is_triggered and is_triggered(order, quote.last):
            side, bound = ("buy", "higher") if order.is_buy else ("sell", "lower")
            return f"Trigger price for stoploss {side} orders should be {bound} than the last traded price."
        return None

    def _meet(self, order: SimOrder, now: datetime, *, arriving: bool) -> SimOrder:
        """Let one order meet its instrument's quote. Returns it as it then is."""
        instrument = self._instrument(order)
        quote = self.market.quote(instrument)
        if order.status is Status.TRIGGER_PENDING:
            if order.most_fill == 0 or not is_triggered(order, quote.last):
                return order
            order = self._trigger(order, instrument, now)
            arriving = True
        quantity, price = match(order, quote, arriving=arriving)
        if not quantity:
            return order
        quote.take(quantity, buying=order.is_buy)
        order = self.book.fill(order, quantity, price, now, multiplier=instrument.multiplier)
        if order.status is Status.COMPLETE:
            leg = self.intake.next_leg(order, now)
            if leg is not None:
                self._to_exchange(leg, now)
        return order

    def _trigger(self, order: SimOrder, instrument: SimInstrument, now: datetime) -> SimOrder:
        price = order.price
        if order.order_type == "SL-M":
            price, _ = self.intake.resolved_price(
                instrument, is_buy=order.is_buy, reference=order.trigger_price, protection=order.protection
            )
        changed = msgspec.structs.replace(order, price=price, is_triggered=True, exchange_update_timestamp=now)
        return self.book.put(changed, Status.OPEN)

    def _modified(self, order: SimOrder, params: Mapping[str, str], now: datetime) -> SimOrder:
        instrument = self._instrument(order)
        order_type = params.get("order_type") or order.order_type
        price = decimal(params, "price") if params.get("price") else order.price
        trigger = decimal(params, "trigger_price") if params.get("trigger_price") else order.trigger_price
        protection = decimal(params, "market_protection") or order.protection
        quantity = whole(params, "quantity") or order.quantity
        check_prices(instrument, order_type, price, trigger, protection, is_buy=order.is_buy)
        check_quantity(instrument, quantity)
        if quantity <= order.filled_quantity:
            raise bad_input(f"Invalid `quantity`: {order.filled_quantity} are filled already.")
        if order_type == "MARKET":
            last = self.market.quote(instrument).last
            price, protection = self.intake.resolved_price(
                instrument, is_buy=order.is_buy, reference=last, protection=protection
            )
            order_type = "LIMIT"
        elif order_type == "SL-M":
            price = ZERO
        return msgspec.structs.replace(
            order,
            order_type=order_type,
            price=price,
            trigger_price=trigger,
            protection=protection,
            quantity=quantity,
            validity=params.get("validity") or order.validity,
            disclosed_quantity=whole(params, "disclosed_quantity") or order.disclosed_quantity,
            modifications=order.modifications + 1,
            order_timestamp=now,
            exchange_update_timestamp=now,
        )

    def _changeable(self, variety: str, order_id: str, now: datetime, done: str) -> SimOrder:
        order = self._known(order_id)
        if not order.is_visible(now):
            raise bad_order("Couldn't find that `order_id`.")
        if order.status.is_terminal:
            raise bad_order(f"Order cannot be {done} as it is already {order.status.lower()}.")
        if order.status not in _LIVE:
            raise bad_order(f"Order cannot be {done} as it is being processed. Try later.")
        expected = order.variety
        if order.variety == "amo" and order.status is not Status.AMO_RECEIVED:
            expected = "regular"  # at the exchange it is an order like any other, though the book says amo
        if variety != expected:
            raise bad_order(f"Order cannot be {done} as `{variety}`. Invalid `variety`.")
        return order

    def _known(self, order_id: str) -> SimOrder:
        found = self.book.orders.get(order_id)
        if found is None:
            raise bad_order("Couldn't find that `order_id`.")
        return found

    def _cancel(self, order: SimOrder, now: datetime) -> None:
        gone = msgspec.structs.replace(
            order, cancelled_quantity=order.quantity - order.filled_quantity, exchange_update_timestamp=now
        )
        self.book.put(order, Status.CANCEL_PENDING)
        self.book.put(gone, Status.CANCELLED)

    def _reject(self, order: SimOrder, why: str, now: datetime) -> None:
        self.book.put(
            msgspec.structs.replace(
                order, status_message=why, status_message_raw=f"RMS:{why}", exchange_update_timestamp=now
            ),
            Status.REJECTED,
        )

    def _run(self, job: Job, now: datetime) -> None:
        match job.kind:
            case JobKind.PLACE:
                self._place_quietly(job, now)
                return
            case JobKind.RELEASE:
                self.release(job.order_id, now)
                return
            case _:
                order = self.book.orders[job.order_id]
        if job.kind is JobKind.LATE_FILL and order.filled_quantity < order.quantity:
            price = order.price or self.market.quote(self._instrument(order)).last
            missing = order.quantity - order.filled_quantity
            self.book.fill(order, missing, price, now, multiplier=self._instrument(order).multiplier)
        elif job.kind is JobKind.REJECT and order.status.is_at_exchange:
            self._reject(order, REJECTED_BY_EXCHANGE, now)
        elif job.kind is JobKind.EXPIRE and order.status.is_at_exchange:
            self._cancel(order, now)

    def _place_quietly(self, job: Job, now: datetime) -> None:
        params = dict(job.doc)
        try:
            self.place(params.pop("variety"), params, now, Fate())
        except KiteError:
            return  # refused after all (funds, market closed): then it never existed

    def _instrument(self, order: SimOrder) -> SimInstrument:
        found = self.instruments.get(order.key)
        if found is None:
            raise bad_order(f"{order.key} has expired.")
        return found


def _is_held(order: SimOrder, now: datetime) -> bool:
    held_back = order.most_fill is not None and not order.status.is_terminal
    return order.is_stuck or held_back or not order.is_visible(now)
