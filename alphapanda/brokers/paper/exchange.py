"""The paper exchange's commands over a draft of the book. Pure: time, ticks and instruments come in as arguments.

A command that raises has changed nothing; one that returns has changed the draft. A backtest in virtual time calls
the same commands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from msgspec.structs import replace

from alphapanda.brokers.paper import chance, funds, matching, rules
from alphapanda.brokers.paper.book import Draft
from alphapanda.brokers.paper.faults import DEFAULT_HIDE_S, HIDE_SECONDS, PaperFault
from alphapanda.brokers.paper.fills import Filler
from alphapanda.brokers.paper.matching import Gate, Market
from alphapanda.brokers.paper.records import PaperOrder, PaperTrade
from alphapanda.brokers.protocol import (
    AmbiguousOutcome,
    BrokerError,
    BrokerRejected,
    BrokerUnavailable,
    NotAuthenticated,
)
from alphapanda.domain.calendar import Calendar, trading_date
from alphapanda.domain.charges import ChargeTable
from alphapanda.domain.execution import BookStatus, OrderChange, OrderRequest
from alphapanda.domain.instrument import Instrument
from alphapanda.domain.money import ZERO
from alphapanda.domain.signal import OrderTerms
from alphapanda.domain.vocabulary import OrderType, SessionState, Validity
from alphapanda.live.quotes import Tick
from alphapanda.settings import PaperSettings

WAITING = "waiting for a fresh quote"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command did to one order, with the trades it made; `error` is raised to the caller all the same."""

    order: PaperOrder | None = None
    trades: tuple[PaperTrade, ...] = ()
    error: BrokerError | None = None


class PaperExchange:
    """Rules and models of one exchange; it holds no state of its own. `calendar` None: open at every hour."""

    def __init__(
        self, settings: PaperSettings, calendar: Calendar | None = None, charges: ChargeTable | None = None
    ) -> None:
        self._settings = settings
        self._calendar = calendar
        self._charges = charges or ChargeTable.packaged()
        self._filler = Filler(settings, self._charges)

    def place(
        self, draft: Draft, request: OrderRequest, instrument: Instrument | None, quote: Tick | None, now: datetime
    ) -> Answer:
        """Take an order and match it against `quote` (the last known tick, however old).

        Raises NotAuthenticated and BrokerRejected. An exchange's own rejection is an order in the book instead.
        """
        _check_session(draft)
        if draft.consume_fault(PaperFault.UNAVAILABLE):
            return Answer(error=BrokerUnavailable("the paper broker cannot be reached (rehearsed)"))
        if draft.consume_fault(PaperFault.LOSE_REQUEST):
            return Answer(error=AmbiguousOutcome("the request was lost (rehearsed)"))
        terms = request.terms
        if instrument is None:
            raise BrokerRejected(f"instrument: {terms.instrument} is not known")
        rules.check_variety(terms)
        ends = rules.day_ends(self._calendar, instrument, now)
        self._check(terms, instrument, quote, now, waits=terms.order_type.has_trigger)
        margin = self._margin(draft, terms, instrument, quote, now)
        order = self._new_order(draft, request, margin, ends, now)
        rejection = self._rejection(draft, request)
        if rejection:
            order = draft.put(replace(order, status=BookStatus.REJECTED, message=rejection, margin=ZERO))
        else:
            order = self._arrive(draft, order, instrument, quote, now)
        return self._reply(draft, order, now)

    def modify(
        self,
        draft: Draft,
        broker_order_id: str,
        change: OrderChange,
        instrument: Instrument | None,
        quote: Tick | None,
        now: datetime,
    ) -> Answer:
        """Change a resting order and match it like one that arrives. Raises NotAuthenticated, BrokerRejected."""
        order = self._resting(draft, broker_order_id)
        if draft.consume_fault(PaperFault.UNAVAILABLE):
            return Answer(error=BrokerUnavailable("the paper broker cannot be reached (rehearsed)"))
        if instrument is None:
            raise BrokerRejected(f"instrument: {order.key} is not known")
        ends = rules.day_ends(self._calendar, instrument, now)
        terms, validity = _changed_terms(order, change)
        waits = terms.order_type.has_trigger and (
            order.status is BookStatus.TRIGGER_PENDING or terms.order_type is not order.order_type
        )
        self._check(terms, instrument, quote, now, waits=waits)
        remaining = terms.model_copy(update={"quantity": terms.quantity - order.filled_quantity})
        margin = self._margin(draft, remaining, instrument, quote, now, replaces=order)
        changed = replace(
            order,
            quantity=terms.quantity,
            order_type=terms.order_type,
            price=terms.price,
            trigger_price=terms.trigger_price,
            validity=validity,
            status=BookStatus.TRIGGER_PENDING if waits else BookStatus.OPEN,
            margin=margin,
            message="",
            active_from=now,
            updated_at=now,
            expires_at=order.expires_at if validity is order.validity else ends,
        )
        arrived = self._arrive(draft, changed, instrument, quote, now)
        return Answer(arrived, draft.trades_of(broker_order_id))

    def cancel(self, draft: Draft, broker_order_id: str, now: datetime) -> Answer:
        """Cancel a resting order. Raises NotAuthenticated, BrokerRejected."""
        order = self._resting(draft, broker_order_id)
        if draft.consume_fault(PaperFault.UNAVAILABLE):
            return Answer(error=BrokerUnavailable("the paper broker cannot be reached (rehearsed)"))
        return Answer(draft.put(_ended(order, BookStatus.CANCELLED, "cancelled on request", now)))

    def match(self, draft: Draft, instrument: Instrument, ticks: Sequence[Tick], now: datetime) -> None:
        """Match the instrument's resting orders against its ticks, in their order."""
        resting = draft.resting(instrument.key)
        gate = Gate.of(resting)
        oldest = now.timestamp() - self._settings.quote_max_age_s
        for tick in ticks:
            if tick.received_at < oldest or not gate.lets_through(tick):
                continue
            seen_at = tick.age_reference
            market = Market.of(tick)
            for order in sorted(resting, key=matching.priority):
                if order.active_from < seen_at and now < order.expires_at:
                    self._filler.work(draft, order, instrument, tick, market, now, arriving=False)
            resting = draft.resting(instrument.key)
            gate = Gate.of(resting)

    def expire(self, draft: Draft, now: datetime) -> None:
        """End the orders whose day or time to live is over."""
        for order in draft.expired(now):
            draft.put(_ended(order, BookStatus.EXPIRED, f"{order.validity} validity ended", now))

    def _check(
        self, terms: OrderTerms, instrument: Instrument, quote: Tick | None, now: datetime, *, waits: bool
    ) -> None:
        rules.check_terms(
            terms,
            instrument,
            reference=None if quote is None else quote.price,
            band_percent=self._settings.price_band_percent,
            now=now,
            waits_for_trigger=waits,
        )

    def _margin(
        self,
        draft: Draft,
        terms: OrderTerms,
        instrument: Instrument,
        quote: Tick | None,
        now: datetime,
        *,
        replaces: PaperOrder | None = None,
    ) -> Decimal | None:
        price = terms.price or terms.trigger_price
        if price is None and quote is not None:
            price = matching.market_price(terms.side, Market.of(quote), instrument, self._settings.slippage_bps)
        return funds.blocked_by_order(
            draft,
            instrument,
            side=terms.side,
            product=terms.product,
            quantity=terms.quantity,
            price=price,
            leverage=self._settings.intraday_leverage,
            charges=self._charges,
            day=trading_date(now),
            replaces=replaces,
        )

    def _new_order(
        self, draft: Draft, request: OrderRequest, margin: Decimal | None, ends: datetime, now: datetime
    ) -> PaperOrder:
        terms = request.terms
        if terms.validity_minutes is not None:
            ends = min(ends, now + timedelta(minutes=terms.validity_minutes))
        return PaperOrder(
            broker_order_id=draft.next_id(trading_date(now)),
            tag=request.tag,
            exchange=terms.exchange,
            tradingsymbol=terms.tradingsymbol,
            side=terms.side,
            product=terms.product,
            order_type=terms.order_type,
            validity=terms.validity,
            quantity=terms.quantity,
            price=terms.price,
            trigger_price=terms.trigger_price,
            status=BookStatus.TRIGGER_PENDING if terms.order_type.has_trigger else BookStatus.OPEN,
            margin=margin,
            placed_at=now,
            active_from=now,
            updated_at=now,
            expires_at=ends.astimezone(UTC),
        )

    def _rejection(self, draft: Draft, request: OrderRequest) -> str:
        if draft.consume_fault(PaperFault.REJECT_NEXT):
            return "rejected by the exchange (rehearsed)"
        if chance.happens(self._settings.reject_rate, self._settings.seed, "reject", request.tag):
            return "rejected by the exchange at random"
        return ""

    def _arrive(
        self, draft: Draft, order: PaperOrder, instrument: Instrument, quote: Tick | None, now: datetime
    ) -> PaperOrder:
        draft.put(order)
        if quote is not None and quote.received_at >= now.timestamp() - self._settings.quote_max_age_s:
            order = self._filler.work(draft, order, instrument, quote, Market.of(quote), now, arriving=True)
        elif order.order_type is OrderType.MARKET:
            order = draft.put(replace(order, message=WAITING))
        if order.validity is Validity.IOC and order.is_resting:
            why = order.message or "the rest did not match at once"
            order = draft.put(_ended(order, BookStatus.CANCELLED, f"IOC: {why}", now))
        return order

    def _reply(self, draft: Draft, order: PaperOrder, now: datetime) -> Answer:
        if draft.consume_fault(PaperFault.HIDE_FROM_BOOK):
            hidden_for = timedelta(seconds=draft.armed_faults.get(HIDE_SECONDS, DEFAULT_HIDE_S))
            order = draft.put(replace(order, hidden_until=now + hidden_for))
            return Answer(order, error=AmbiguousOutcome("the reply was lost (rehearsed)"))
        lost = draft.consume_fault(PaperFault.LOSE_REPLY)
        if lost or chance.happens(self._settings.lose_reply_rate, self._settings.seed, "reply", order.tag or ""):
            return Answer(order, error=AmbiguousOutcome("the reply was lost"))
        return Answer(order, draft.trades_of(order.broker_order_id))

    def _resting(self, draft: Draft, broker_order_id: str) -> PaperOrder:
        _check_session(draft)
        order = draft.order(broker_order_id)
        if order is None or not order.is_resting:
            raise BrokerRejected(f"order {broker_order_id} does not rest in the book")
        return order


def _check_session(draft: Draft) -> None:
    if draft.session is not SessionState.ACTIVE:
        raise NotAuthenticated("the paper session has expired")


def _ended(order: PaperOrder, status: BookStatus, message: str, now: datetime) -> PaperOrder:
    return replace(order, status=status, message=message, margin=ZERO, updated_at=now)


def _changed_terms(order: PaperOrder, change: OrderChange) -> tuple[OrderTerms, Validity]:
    """The order's terms after the change. Raises BrokerRejected where they contradict each other."""
    order_type = change.order_type or order.order_type
    validity = change.validity or order.validity
    quantity = change.quantity or order.quantity
    if quantity <= order.filled_quantity:
        raise BrokerRejected(f"quantity: {order.filled_quantity} are filled already, so it must be more than that")
    if validity is Validity.TTL and order.validity is not Validity.TTL:
        raise BrokerRejected("validity: an order cannot be modified to TTL; cancel it and place a new one")
    try:
        terms = OrderTerms(
            exchange=order.exchange,
            tradingsymbol=order.tradingsymbol,
            side=order.side,
            quantity=quantity,
            order_type=order_type,
            product=order.product,
            price=change.price or (order.price if order_type.has_limit_price else None),
            trigger_price=change.trigger_price or (order.trigger_price if order_type.has_trigger else None),
        )
    except ValueError as error:
        first = error.errors()[0]["msg"] if hasattr(error, "errors") else str(error)
        raise BrokerRejected(f"modification: {first}") from error
    return terms, validity
