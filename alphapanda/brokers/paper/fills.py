"""Working an order against a tick: trigger, price, volume, and the money and position that move. Pure."""

from datetime import datetime
from decimal import Decimal

from msgspec.structs import replace

from alphapanda.brokers.paper import funds, margins, matching
from alphapanda.brokers.paper.book import Draft
from alphapanda.brokers.paper.matching import Market
from alphapanda.brokers.paper.positions import add_trade
from alphapanda.brokers.paper.records import PaperOrder, PaperTrade
from alphapanda.brokers.protocol import BrokerRejected
from alphapanda.domain.calendar import trading_date
from alphapanda.domain.charges import ChargeTable
from alphapanda.domain.charging import charges_of
from alphapanda.domain.execution import BookStatus
from alphapanda.domain.instrument import Instrument
from alphapanda.domain.money import ZERO, Price, to_paisa
from alphapanda.live.quotes import Tick
from alphapanda.settings import PaperSettings


class Filler:
    """Fills orders by one exchange's settings and charges; holds no state of its own."""

    def __init__(self, settings: PaperSettings, charges: ChargeTable) -> None:
        self._settings = settings
        self._charges = charges

    def work(
        self,
        draft: Draft,
        order: PaperOrder,
        instrument: Instrument,
        tick: Tick,
        market: Market,
        now: datetime,
        *,
        arriving: bool,
    ) -> PaperOrder:
        """The resting order after this tick: triggered, filled in part or whole, or as it was."""
        if order.status is BookStatus.TRIGGER_PENDING:
            if order.trigger_price is None or not matching.is_triggered(order.side, order.trigger_price, market.last):
                return order
            # A stop that triggers goes to the market like an order that arrives just then.
            arriving = True
            order = draft.put(replace(order, status=BookStatus.OPEN, updated_at=now))
        price = matching.fill_price(
            order, market, instrument, slippage_bps=self._settings.slippage_bps, arriving=arriving
        )
        if price is None:
            return order
        taken = draft.taken(order.key, tick)
        room = matching.room(tick.volume, self._settings.participation, taken, instrument.lot_size)
        quantity = order.remaining if room is None else min(order.remaining, room)
        if quantity == 0:
            return order
        if order.margin is None:
            order = self._afford(draft, order, instrument, price, now)
        return self._fill(draft, order, instrument, quantity, price, tick, now) if order.is_resting else order

    def _afford(
        self, draft: Draft, order: PaperOrder, instrument: Instrument, price: Price, now: datetime
    ) -> PaperOrder:
        """The order with its margin, at last; or rejected, now that its price is known to be too much."""
        try:
            margin = funds.blocked_by_order(
                draft,
                instrument,
                side=order.side,
                product=order.product,
                quantity=order.remaining,
                price=price,
                leverage=self._settings.intraday_leverage,
                charges=self._charges,
                day=trading_date(now),
                replaces=order,
            )
        except BrokerRejected as refusal:
            rejected = replace(order, status=BookStatus.REJECTED, message=refusal.message, margin=ZERO, updated_at=now)
            return draft.put(rejected)
        return draft.put(replace(order, margin=margin))

    def _fill(
        self,
        draft: Draft,
        order: PaperOrder,
        instrument: Instrument,
        quantity: int,
        price: Price,
        tick: Tick,
        now: datetime,
    ) -> PaperOrder:
        charges = self._book_money(draft, order, instrument, quantity, price, now)
        trade = PaperTrade(
            trade_id=draft.next_id(trading_date(now)),
            broker_order_id=order.broker_order_id,
            exchange=order.exchange,
            tradingsymbol=order.tradingsymbol,
            side=order.side,
            product=order.product,
            quantity=quantity,
            price=price,
            charges=charges,
            traded_at=now,
            tick=matching.tick_name(tick),
        )
        draft.add_trade(trade)
        left = order.remaining - quantity
        return draft.put(
            replace(
                order,
                filled_quantity=order.filled_quantity + quantity,
                turnover=order.turnover + price * quantity,
                status=BookStatus.OPEN if left else BookStatus.COMPLETE,
                margin=to_paisa((order.margin or ZERO) * left / order.remaining),
                message="",
                updated_at=now,
            )
        )

    def _book_money(
        self, draft: Draft, order: PaperOrder, instrument: Instrument, quantity: int, price: Price, now: datetime
    ) -> Decimal:
        """Move the position, its margin and the cash; returns the charges."""
        day = trading_date(now)
        held = draft.position(order.exchange, order.tradingsymbol, order.product)
        charges = charges_of(
            instrument,
            side=order.side,
            product=order.product,
            quantity=quantity,
            price=price,
            day=day,
            turnover_before=order.turnover,
            table=self._charges,
        ).total
        after, realised = add_trade(held, order.side, quantity, price)
        leverage = self._settings.intraday_leverage
        blocked = margins.blocked_by_position(instrument, order.product, after.quantity, after.cost, leverage)
        draft.put_position(
            replace(
                after,
                charges=held.charges + charges,
                margin=blocked,
            )
        )
        paid = margins.is_paid_in_full(instrument, order.product)
        draft.cash += (-order.side.sign * quantity * price if paid else realised) - charges
        return charges
