"""The rules. One contract: candidate + book + limits -> None (it holds) or the reason of the denial.

Entry rules never see an exit: an order that only reduces a position is refused by none of them.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal

from alphapanda.domain.reasons import Reason, ReasonCode, reason
from alphapanda.domain.vocabulary import TradingSwitch, Variety
from alphapanda.risk.book import Book, Candidate, Limits

Rule = Callable[[Candidate, Book, Limits], Reason | None]


def switch_permits(candidate: Candidate, book: Book, limits: Limits) -> Reason | None:
    return switch_refusal(book.switch)


def switch_refusal(switch: TradingSwitch) -> Reason | None:
    """Why an entry may not be sent now; None when it may. Asked again right before every send."""
    match switch:
        case TradingSwitch.ENABLED:
            return None
        case TradingSwitch.EXITS_ONLY:
            return reason(ReasonCode.SWITCH_EXITS_ONLY)
        case TradingSwitch.HALTED:
            return reason(ReasonCode.SWITCH_HALTED)


def signal_is_recent(candidate: Candidate, book: Book, limits: Limits) -> Reason | None:
    age = candidate.signal.age(candidate.now).total_seconds()
    # Waiting for the open or for a person is asked for; only a delay that nobody asked for makes a signal stale.
    if candidate.approved or candidate.signal.wait_for_open or age <= limits.signal_max_age_s:
        return None
    return reason(ReasonCode.SIGNAL_STALE, age_s=f"{age:.0f}", limit_s=f"{limits.signal_max_age_s:.0f}")


def is_no_duplicate(candidate: Candidate, book: Book, limits: Limits) -> Reason | None:
    if book.recent_twins == 0:
        return None
    return reason(ReasonCode.SIGNAL_DUPLICATE, twins=book.recent_twins, window_s=f"{limits.duplicate_window_s:g}")


def quote_is_known(candidate: Candidate, book: Book, limits: Limits) -> Reason | None:
    quote = candidate.quote
    if candidate.signal.variety is Variety.AMO and candidate.reference is not None:
        return None  # the market is closed: its own limit, or the last price of the day, is the newest there is
    if quote.price is None or quote.received_at is None:
        return reason(ReasonCode.MARKET_QUOTE_UNKNOWN, instrument=candidate.signal.instrument)
    if quote.is_fresh(candidate.now, timedelta(seconds=limits.quote_max_age_s)):
        return None
    age = (candidate.now - quote.received_at).total_seconds()
    return reason(ReasonCode.MARKET_QUOTE_STALE, age_s=f"{age:.1f}", limit_s=f"{limits.quote_max_age_s:g}")


def order_quantity_holds(candidate: Candidate, book: Book, limits: Limits) -> Reason | None:
    if candidate.signal.quantity <= limits.max_order_quantity:
        return None
    return reason(ReasonCode.RISK_ORDER_QUANTITY, quantity=candidate.signal.quantity, limit=limits.max_order_quantity)


def order_value_holds(candidate: Candidate, book: Book, limits: Limits) -> Reason | None:
    if candidate.value is None or candidate.value <= limits.max_order_value:
        return None
    return reason(ReasonCode.RISK_ORDER_VALUE, value=f"{candidate.value:.2f}", limit=limits.max_order_value)


def position_quantity_holds(candidate: Candidate, book: Book, limits: Limits) -> Reason | None:
    after = book.exposure_after(candidate.signal.side, candidate.signal.quantity)
    if after <= limits.max_position_quantity:
        return None
    return reason(ReasonCode.RISK_POSITION_QUANTITY, would_be=after, limit=limits.max_position_quantity)


def position_value_holds(candidate: Candidate, book: Book, limits: Limits) -> Reason | None:
    if candidate.reference is None:
        return None
    after = candidate.reference * book.exposure_after(candidate.signal.side, candidate.signal.quantity)
    if after <= limits.max_position_value:
        return None
    return reason(ReasonCode.RISK_POSITION_VALUE, would_be=f"{after:.2f}", limit=limits.max_position_value)


def daily_loss_holds(candidate: Candidate, book: Book, limits: Limits) -> Reason | None:
    if -book.day_result < limits.max_daily_loss:
        return None
    return reason(ReasonCode.RISK_DAILY_LOSS, loss=f"{-book.day_result:.2f}", limit=limits.max_daily_loss)


def price_is_inside_the_collar(candidate: Candidate, book: Book, limits: Limits) -> Reason | None:
    quote, price = candidate.quote.price, candidate.signal.price or candidate.signal.trigger_price
    # Measured at a fresh quote only: while the feed is down, an old one must not hold back an exit.
    fresh = candidate.quote.is_fresh(candidate.now, timedelta(seconds=limits.quote_max_age_s))
    if quote is None or price is None or not fresh:
        return None
    away = abs(price - quote) * Decimal(100) / quote
    if away <= limits.price_collar_percent:
        return None
    return reason(
        ReasonCode.RISK_PRICE_COLLAR, price=price, quote=quote, away_percent=f"{away:.1f}",
        limit_percent=limits.price_collar_percent,
    )  # fmt: skip


# fmt: off
ENTRY_RULES: tuple[Rule, ...] = (
    switch_permits,
    signal_is_recent,
    is_no_duplicate,
    order_quantity_holds,
    quote_is_known,
    order_value_holds,
    price_is_inside_the_collar,
    position_quantity_holds,
    position_value_holds,
    daily_loss_holds,
)
EXIT_RULES: tuple[Rule, ...] = (
    signal_is_recent,
    price_is_inside_the_collar,
)
RECHECK_RULES: tuple[Rule, ...] = (
    switch_permits,
    quote_is_known,
    price_is_inside_the_collar,
    daily_loss_holds,
)
"""Asked again of an entry that waited with its exposure reserved: what time changes, not what its size decided."""
# fmt: on


def denials(candidate: Candidate, book: Book, limits: Limits) -> Iterator[Reason]:
    """Every rule's refusal, in order; the first is the one that is recorded."""
    for rule in EXIT_RULES if candidate.is_exit else ENTRY_RULES:
        refusal = rule(candidate, book, limits)
        if refusal is not None:
            yield refusal


def needs_approval(candidate: Candidate, limits: Limits) -> Reason | None:
    """Whether a person must confirm an entry of this value."""
    threshold, value = limits.approval_value, candidate.value
    if candidate.approved or candidate.is_exit or threshold is None or value is None or value <= threshold:
        return None
    return reason(ReasonCode.RISK_APPROVAL_REQUIRED, value=f"{value:.2f}", threshold=threshold)
