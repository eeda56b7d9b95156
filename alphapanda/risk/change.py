"""Whether a modification of a working order may go to the broker: pure, over the same rules as an entry."""

from pydantic import ValidationError

from alphapanda.domain.calendar import trading_date
from alphapanda.domain.execution import OrderChange
from alphapanda.domain.reasons import Reason, ReasonCode, reason
from alphapanda.domain.signal import OrderTerms, Signal
from alphapanda.domain.validation import instrument_breaches, stale_dump
from alphapanda.risk.book import Book, Candidate
from alphapanda.risk.clearance import Facts
from alphapanda.risk.rules import EXIT_RULES, denials, needs_approval


def changed_terms(terms: OrderTerms, change: OrderChange) -> OrderTerms:
    """The terms after the change. Raises pydantic.ValidationError when they contradict each other.

    A new order type drops the prices it does not have; what the change itself names must fit.
    """
    kept = terms.model_dump()
    if change.order_type is not None and not change.order_type.has_limit_price:
        kept["price"] = None
    if change.order_type is not None and not change.order_type.has_trigger:
        kept["trigger_price"] = None
    return OrderTerms.model_validate({**kept, **change.model_dump(exclude_none=True)})


def refuse_change(signal: Signal, terms: OrderTerms, filled: int, facts: Facts, *, is_exit: bool) -> Reason | None:
    """Why the order may not become `terms` with `filled` already done; None when it may."""
    if facts.instrument is None:
        return reason(ReasonCode.INSTRUMENT_UNKNOWN, instrument=signal.instrument)
    if terms.quantity <= filled:
        return reason(ReasonCode.CHANGE_BELOW_FILLED, quantity=terms.quantity, filled=filled)
    breach = next(instrument_breaches(terms, facts.instrument, trading_date(facts.now)), None)
    if breach is not None:
        return breach
    if not is_exit:
        stale = stale_dump(facts.instrument, trading_date(facts.now), facts.limits.max_dump_age_days)
        if stale is not None:
            return stale
    open_part = signal.model_copy(update={**terms.model_dump(), "quantity": terms.quantity - filled})
    candidate = Candidate(open_part, facts.quote, is_exit, facts.now, approved=True)
    if not is_exit and terms.quantity > facts.limits.max_order_quantity:
        limit = facts.limits.max_order_quantity
        return reason(ReasonCode.RISK_ORDER_QUANTITY, quantity=terms.quantity, limit=limit)
    if is_exit and open_part.quantity > _still_held(open_part, facts.book):
        return reason(ReasonCode.CHANGE_EXCEEDS_POSITION, open=open_part.quantity)
    if not is_exit and (needed := _needs_approval(signal, terms, facts)) is not None:
        return needed
    if is_exit:
        return next((found for rule in EXIT_RULES if (found := rule(candidate, facts.book, facts.limits))), None)
    return next(denials(candidate, facts.book, facts.limits), None)


def _needs_approval(signal: Signal, terms: OrderTerms, facts: Facts) -> Reason | None:
    """A change must not carry an order past the threshold that a person would have had to confirm at its start.

    What is above it already was confirmed, so only a change to a higher value is refused.
    """
    before = Candidate(signal, facts.quote, False, facts.now)
    after = Candidate(signal.model_copy(update=terms.model_dump()), facts.quote, False, facts.now)
    needed = needs_approval(after, facts.limits)
    if needed is None or after.value is None or (before.value is not None and after.value <= before.value):
        return None
    return Reason(code=ReasonCode.CHANGE_NEEDS_APPROVAL, detail=needed.detail)


def contradiction(error: ValidationError) -> Reason:
    """A change whose terms do not fit together, as a reason."""
    return reason(ReasonCode.CHANGE_CONTRADICTS, detail=error.errors(include_url=False)[0]["msg"])


def _still_held(signal: Signal, book: Book) -> int:
    """What an exit may still take: the position on the other side, less other exits on their way."""
    return -signal.side.sign * book.position - book.reserved_exits
