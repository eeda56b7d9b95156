"""Candidates, books and limits as the risk tests need them: sound by default, changed by keyword."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from alphapanda.domain.ids import Broker, SignalId, StrategyId
from alphapanda.domain.money import Price
from alphapanda.domain.signal import Signal
from alphapanda.domain.vocabulary import Exchange, OrderType, Product, SessionState, Side, TradingSwitch
from alphapanda.risk.book import Book, Candidate, Limits, QuoteView

NOW = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)
LIMITS = Limits(
    max_order_quantity=100,
    max_order_value=Decimal(200_000),
    max_position_quantity=150,
    max_position_value=Decimal(300_000),
    max_daily_loss=Decimal(10_000),
    price_collar_percent=Decimal(10),
    quote_max_age_s=15,
    signal_max_age_s=300,
    duplicate_window_s=60,
    approval_value=None,
)
FLAT = Book(SessionState.ACTIVE, TradingSwitch.ENABLED)


def signal(**changed: Any) -> Signal:
    known: dict[str, Any] = {
        "signal_id": SignalId("s1"),
        "strategy_id": StrategyId("test"),
        "brokers": (Broker("paper"),),
        "exchange": Exchange.NSE,
        "tradingsymbol": "INFY",
        "side": Side.BUY,
        "quantity": 10,
        "order_type": OrderType.MARKET,
        "product": Product.MIS,
        "generated_at": NOW,
    }
    return Signal(**{**known, **changed})


def limit(price: str) -> dict[str, Any]:
    return {"order_type": OrderType.LIMIT, "price": Decimal(price)}


def quote(price: str | None = "1000", *, age_s: float = 0) -> QuoteView:
    if price is None:
        return QuoteView(None, None)
    return QuoteView(Price(Decimal(price)), NOW - timedelta(seconds=age_s))


def candidate(
    *, view: QuoteView | None = None, is_exit: bool = False, approved: bool = False, **terms: Any
) -> Candidate:
    return Candidate(signal(**terms), view or quote(), is_exit, NOW, approved=approved)


def book(**changed: Any) -> Book:
    return replace(FLAT, **changed)


def limits(**changed: Any) -> Limits:
    return LIMITS.model_copy(update=changed)
