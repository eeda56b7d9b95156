"""The engine: ticks in virtual time through strategies, clearance and the paper exchange. No I/O, no clock, no chance
but the exchange's seeded one: the same ticks and settings give the same orders and fills.

On each tick, in this order:

1. what time brings up to the tick's moment: orders that expire, orders that arrive after their latency. They meet the
   quotes from before the tick;
2. the tick becomes its instrument's quote, and the resting orders that were there before its moment may match it;
3. orders that waited for a quote of it are cleared again;
4. the strategies see it, and the signals they make are cleared and sent at once. A new order meets this tick.

The next tick is taken from its source only when all of that is done, so nothing can be decided on a price that had
not happened. The earliest price an order can trade at is the one its strategy has just seen, as at the live paper
exchange; `latency_ms` makes it a later one.
"""

import gc
import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from alphapanda.backtest.desk import Desk, FillRecord, OrderRecord
from alphapanda.backtest.exchange import NEVER, Change, VirtualExchange
from alphapanda.brokers.paper import chance
from alphapanda.brokers.protocol import BrokerRejected
from alphapanda.domain.calendar import Calendar
from alphapanda.domain.charges import ChargeTable
from alphapanda.domain.execution import OrderRequest
from alphapanda.domain.ids import Broker
from alphapanda.domain.instrument import Instrument
from alphapanda.domain.money import ZERO
from alphapanda.domain.reasons import ReasonCode, reason
from alphapanda.domain.signal import Signal
from alphapanda.domain.states import OrderState
from alphapanda.feed.router import StrategyRouter
from alphapanda.live.quotes import Tick
from alphapanda.risk.book import Limits, QuoteView
from alphapanda.risk.clearance import Facts, clear
from alphapanda.settings import PaperSettings, RiskSettings
from alphapanda.strategies.contract import Fill, Strategy
from alphapanda.strategies.registry import Deployment

PAPER = Broker("paper")
_TELL_EVERY = 20_000
_GENERATIONS = 8
"""How often fills may lead to orders that fill and lead to orders, on one tick; the rest is told on the next one."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a run is made under. `calendar` None: every hour is open. `equity_every_s`: between two equity points."""

    paper: PaperSettings = field(default_factory=PaperSettings)
    risk: RiskSettings = field(default_factory=RiskSettings)
    calendar: Calendar | None = field(default_factory=Calendar.packaged)
    charges: ChargeTable = field(default_factory=ChargeTable.packaged)
    quote_wait_s: float = 10.0
    equity_every_s: int = 300


@dataclass(frozen=True, slots=True)
class EquityPoint:
    """The account as of the tick received at `at` (epoch seconds): what it is worth, and the gross value of what is
    open, in rupees."""

    at: float
    equity: Decimal
    exposure: Decimal


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything a run left behind, for the report. `prices` are the last ones by instrument; `errors`, `suspended` and
    the last of the `problems` are by strategy."""

    desk: Desk
    equity: tuple[EquityPoint, ...]
    ticks: int
    prices: Mapping[str, Decimal]
    errors: Mapping[str, int]
    suspended: Mapping[str, list[str]]
    problems: Mapping[str, str]


class Backtest:
    """One run: make it, `run` it once."""

    def __init__(
        self,
        deployments: Iterable[Deployment],
        instruments: Mapping[str, Instrument],
        rules: Rules | None = None,
        *,
        broker: Broker = PAPER,
    ) -> None:
        self._rules = rules = rules or Rules()
        wanted = tuple(deployments)
        self._broker = broker
        self._instruments = instruments
        self._limits = Limits.model_validate(rules.risk.model_dump())
        self._router = StrategyRouter(wanted, instruments, (broker,))
        self._told = {item.strategy_id for item in wanted if item.strategy.on_fill is not Strategy.on_fill}
        self._exchange = VirtualExchange(broker, rules.paper, rules.calendar, rules.charges)
        self._resting = self._exchange.book.by_instrument
        self.desk = Desk(broker, timedelta(seconds=rules.risk.duplicate_window_s))
        self._quotes: dict[str, Tick] = {}
        self._arriving: list[tuple[float, int, OrderRecord]] = []
        self._patient: dict[str, list[tuple[float, OrderRecord]]] = {}
        self._news: deque[FillRecord] = deque()
        self._equity: list[EquityPoint] = []
        self._sample_at = 0.0
        self._due = 0.0
        self._sent = 0

    def run(self, ticks: Iterable[Tick], tell: Callable[[int, float], None] | None = None) -> Outcome:
        """Until the ticks end. `tell` hears now and then how many ticks are done, and the virtual time."""
        with _rare_collections():
            return self._run(ticks, tell)

    def _run(self, ticks: Iterable[Tick], tell: Callable[[int, float], None] | None) -> Outcome:
        count = 0
        last: Tick | None = None
        quotes, resting, patient, route = self._quotes, self._resting, self._patient, self._router.route
        for tick in ticks:
            at = tick.received_at
            if at >= self._due:
                self._pass_time(at, last)
            key = tick.instrument
            quotes[key] = last = tick
            if key in resting and self._exchange.concerns(tick):
                self._match(tick)
            if patient and key in patient:
                self._ask_again(key, at)
            if self._news:
                self._tell_fills(at)
            signals = route(tick)
            if signals:
                for signal in signals:
                    self._accept(signal, at)
                self._tell_fills(at)
            count += 1
            if tell is not None and count % _TELL_EVERY == 0:
                tell(count, at)
        if last is not None:
            self._sample(last)
            if tell is not None:
                tell(count, last.received_at)
        router = self._router
        return Outcome(
            desk=self.desk,
            equity=tuple(self._equity),
            ticks=count,
            prices=self._prices(quotes),
            errors=dict(router.errors),
            suspended={name: list(instruments) for name, instruments in router.suspended.items()},
            problems=dict(router.problems),
        )

    def _pass_time(self, at: float, last: Tick | None) -> None:
        """Everything due up to `at`, in its order; `last` is the newest tick before."""
        if at >= self._sample_at:
            if last is not None:
                self._sample(last)
            else:
                self._equity.append(EquityPoint(at, self._rules.paper.starting_cash, ZERO))
            every = self._rules.equity_every_s
            self._sample_at = (at // every + 1) * every
        while True:
            expiry = self._exchange.next_expiry
            arrival = self._arriving[0][0] if self._arriving else NEVER
            patience = min((ends for waiting in self._patient.values() for ends, _ in waiting), default=NEVER)
            moment = min(expiry, arrival, patience)
            if moment > at:
                break
            if expiry == moment:
                self._take(self._exchange.expire(moment), _when(moment))
            elif arrival == moment:
                self._arrive(heapq.heappop(self._arriving)[2], moment)
            else:
                self._lose_patience(moment)
        self._due = min(self._sample_at, moment)

    def _accept(self, signal: Signal, at: float) -> None:
        now = _when(at)
        order = self.desk.accept(signal, now)
        if order is not None:
            self._clear(order, at, patience_ends=at + self._rules.quote_wait_s)

    def _clear(self, order: OrderRecord, at: float, *, patience_ends: float) -> None:
        """Ask whether the order may go, and send it where it may."""
        now, signal = _when(at), order.signal
        quote = self._quotes.get(signal.instrument)
        seen = QuoteView(None, None) if quote is None else QuoteView(quote.price, _when(quote.received_at))
        facts = Facts(
            self._instruments.get(signal.instrument),
            self._rules.calendar,
            seen,
            self.desk.book_for(order, now, self._unrealised()),
            self._limits,
            now,
        )
        verdict = clear(signal, order.state, facts, patient=at < patience_ends)
        self.desk.judge(order, verdict, now)
        if verdict.needs_quote:
            self._patient.setdefault(signal.instrument, []).append((patience_ends, order))
            self._due = min(self._due, patience_ends)
        elif order.state is OrderState.SUBMITTING:
            self._send(order, at)

    def _send(self, order: OrderRecord, at: float) -> None:
        latency = chance.latency_s(self._rules.paper.latency_ms, self._rules.paper.seed, order.tag or "")
        if not latency:
            self._arrive(order, at)
            return
        self._sent += 1
        heapq.heappush(self._arriving, (at + latency, self._sent, order))
        self._due = min(self._due, at + latency)

    def _arrive(self, order: OrderRecord, at: float) -> None:
        """The order is at the exchange, which has the last quote before or at that moment."""
        now, signal = _when(at), order.signal
        assert order.tag is not None  # noqa: S101 - stored with the clearance that let it go
        request = OrderRequest(
            broker=self._broker, order_id=order.order_id, tag=order.tag, terms=signal.terms, is_exit=order.is_exit
        )
        instrument, quote = self._instruments.get(signal.instrument), self._quotes.get(signal.instrument)
        try:
            _, changes = self._exchange.place(request, instrument, quote, now)
        except BrokerRejected as refusal:
            why = reason(ReasonCode.BROKER_REJECTED, message=refusal.message)
            self.desk.enter(order, OrderState.REJECTED, why, now)
            return
        # A reply that is lost is settled from the book, as the live desk does; here the book is at hand.
        self._take(changes, now, placed=order)

    def _match(self, tick: Tick) -> None:
        instrument = self._instruments[tick.instrument]
        now = tick.age_reference
        self._take(self._exchange.match(instrument, tick, now), now)

    def _take(self, changes: list[Change], now: datetime, placed: OrderRecord | None = None) -> None:
        for row, trades in changes:
            fills = self.desk.observe(row, trades, now, placed)
            if fills and fills[0].order.signal.strategy_id in self._told:
                self._news += fills
        self._due = min(self._due, self._exchange.next_expiry)

    def _tell_fills(self, at: float) -> None:
        """Tell the strategies of their fills, and follow what they answer."""
        for _ in range(_GENERATIONS):
            if not self._news:
                return
            told, self._news = self._news, deque()
            for fill in told:
                trade = fill.trade
                news = Fill(trade.key, trade.side, trade.quantity, trade.price, trade.traded_at.timestamp())
                for signal in self._router.fill(fill.order.signal.strategy_id, news, received_at=at):
                    self._accept(signal, at)

    def _ask_again(self, key: str, at: float) -> None:
        """Clear what waited for this instrument's quote."""
        for patience_ends, order in self._patient.pop(key):
            self._clear(order, at, patience_ends=patience_ends)

    def _lose_patience(self, at: float) -> None:
        for key in list(self._patient):
            overdue = [item for item in self._patient[key] if item[0] <= at]
            waiting = [item for item in self._patient[key] if item[0] > at]
            del self._patient[key]
            if waiting:
                self._patient[key] = waiting
            for patience_ends, order in overdue:
                self._clear(order, at, patience_ends=patience_ends)

    def _prices(self, keys: Iterable[str]) -> dict[str, Decimal]:
        return {key: self._quotes[key].price for key in keys if key in self._quotes}

    def _unrealised(self) -> Decimal:
        return self.desk.unrealised(self._prices(self.desk.open))

    def _sample(self, last: Tick) -> None:
        if self._equity and self._equity[-1].at == last.received_at:
            self._equity.pop()
        prices = self._prices(self.desk.open)
        result = self.desk.realised - self.desk.charges + self.desk.unrealised(prices)
        exposure = sum((abs(held.quantity) * prices[key] for key, held in self.desk.open.items()), ZERO)
        self._equity.append(EquityPoint(last.received_at, self._rules.paper.starting_cash + result, exposure))


def _when(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """What a run makes it keeps, so looking through it for garbage finds none and costs more the longer it gets."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, 20, 50)
    try:
        yield
    finally:
        gc.set_threshold(*before)
