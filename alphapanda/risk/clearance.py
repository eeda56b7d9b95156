"""Clearance: the whole verdict on an order before it may be sent, as one pure function of what was read.

Validation, market hours, the session, the switch, risk and approval meet here and nowhere else.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from alphapanda.domain.calendar import Calendar, CalendarUnknown, Segment, trading_date
from alphapanda.domain.instrument import Instrument
from alphapanda.domain.reasons import Reason, ReasonCode, reason
from alphapanda.domain.signal import Signal
from alphapanda.domain.states import OrderState
from alphapanda.domain.validation import instrument_breaches, stale_dump
from alphapanda.domain.vocabulary import SessionState, Variety
from alphapanda.risk.book import Book, Candidate, Limits, QuoteView
from alphapanda.risk.rules import EXIT_RULES, RECHECK_RULES, denials, needs_approval

S = OrderState
Step = tuple[OrderState, Reason]

_QUOTE_REASONS = frozenset({ReasonCode.MARKET_QUOTE_STALE, ReasonCode.MARKET_QUOTE_UNKNOWN})


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything read for one clearance, at one moment. `calendar` is None when the market counts as always open."""

    instrument: Instrument | None
    calendar: Calendar | None
    quote: QuoteView
    book: Book
    limits: Limits
    now: datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """The states entered, in order. `reserve`: exposure is to be promised in the same transaction, at `reserve_price`
    rupees a share (None: no price is known, as for an exit at market without a quote)."""

    steps: tuple[Step, ...]
    is_exit: bool = False
    reserve: bool = False
    reserve_price: Decimal | None = None
    wait_until: datetime | None = None
    needs_quote: bool = False


def clear(
    signal: Signal,
    state: OrderState,
    facts: Facts,
    *,
    approved_by: str | None = None,
    reserved_exit: bool = False,
    patient: bool = False,
) -> Verdict:
    """Clear a signal whose order is in `state`: RECEIVED, VALIDATED, AWAITING_MARKET, AWAITING_APPROVAL or
    AWAITING_AUTH (from APPROVED, its exposure still reserved; `reserved_exit` tells as what).

    The last step is SUBMITTING (send it), a state to wait in, or an end; no step at all means: wait as you are.
    `patient` asks to wait where only a fresh quote is missing, instead of denying.
    """
    if signal.is_expired(facts.now):
        return Verdict(((S.EXPIRED, reason(ReasonCode.SIGNAL_EXPIRED, expires_at=signal.expires_at)),))
    if state is S.AWAITING_AUTH and _is_of_another_day(signal, facts):
        return Verdict(((S.EXPIRED, reason(ReasonCode.SIGNAL_DAY_OVER, signal_of=trading_date(signal.generated_at))),))
    if state is S.AWAITING_AUTH:
        return _after_login(signal, facts, reserved_exit=reserved_exit, patient=patient)
    if state is S.AWAITING_APPROVAL and approved_by is None:
        return Verdict(())  # everything is asked once somebody has approved it
    closed, opens = _market_hours(signal, facts)
    if state is S.AWAITING_MARKET and opens is not None:
        return Verdict((), wait_until=opens)  # woken before the open
    if state not in (S.RECEIVED, S.AWAITING_MARKET):
        if opens is not None and state is S.VALIDATED:  # it closed while the order waited for a quote
            return Verdict(((S.AWAITING_MARKET, _until(opens)),), wait_until=opens)
        if closed is not None:
            return Verdict(((S.DENIED, closed),))
        return _risk(signal, facts, (), approved_by=approved_by, patient=patient)
    # After a wait for the open the signal was valid once; what no longer fits is denied, not invalid.
    first = state is S.RECEIVED
    validated: Step = (S.VALIDATED, reason(ReasonCode.VALIDATION_PASSED if first else ReasonCode.MARKET_OPENED))
    breach = _breach(signal, facts) or (closed if opens is None else None)
    if breach is not None:
        return Verdict(((S.INVALID, breach),) if first else (validated, (S.DENIED, breach)))
    if opens is not None:
        return Verdict((validated, (S.AWAITING_MARKET, _until(opens))), wait_until=opens)
    return _risk(signal, facts, (validated,), approved_by=approved_by, patient=patient)


def _is_of_another_day(signal: Signal, facts: Facts) -> bool:
    """A login in the morning must not send what was meant for yesterday; who waits for the open means the next day."""
    if signal.variety is Variety.AMO and facts.calendar is not None and facts.instrument is not None:
        # It is meant for the next open, whichever day that is on.
        try:
            opens = facts.calendar.next_open(Segment(facts.instrument.segment), signal.generated_at)
        except CalendarUnknown:
            return True
        return facts.now >= opens
    return not signal.wait_for_open and trading_date(facts.now) > trading_date(signal.generated_at)


def _until(opens: datetime) -> Reason:
    return reason(ReasonCode.MARKET_WAITING_FOR_OPEN, opens=opens.isoformat())


def _breach(signal: Signal, facts: Facts) -> Reason | None:
    if facts.instrument is None:
        return reason(ReasonCode.INSTRUMENT_UNKNOWN, instrument=signal.instrument)
    if signal.variety is Variety.AMO and signal.wait_for_open:
        return reason(ReasonCode.VARIETY_NOT_ALLOWED, variety=signal.variety, wait_for_open="true")
    return next(instrument_breaches(signal, facts.instrument, trading_date(facts.now)), None)


def _market_hours(signal: Signal, facts: Facts) -> tuple[Reason | None, datetime | None]:
    """Why nothing can be sent at this hour (None: it can), and the open to wait for where the signal asks to."""
    if facts.instrument is None:
        return None, None
    after_market = signal.variety is Variety.AMO
    if facts.calendar is None:
        return (reason(ReasonCode.MARKET_NOT_CLOSED, market="always open here") if after_market else None), None
    segment = Segment(facts.instrument.segment)
    try:
        if after_market:
            phase = facts.calendar.phase_at(segment, facts.now)
            return (None if phase is None else reason(ReasonCode.MARKET_NOT_CLOSED, phase=phase)), None
        if facts.calendar.is_open(segment, facts.now):
            return None, None
        closed = reason(ReasonCode.MARKET_CLOSED, segment=segment, wait_for_open=str(signal.wait_for_open).lower())
        return closed, facts.calendar.next_open(segment, facts.now) if signal.wait_for_open else None
    except CalendarUnknown as error:
        return reason(ReasonCode.MARKET_CALENDAR_UNKNOWN, detail=error.message), None


def _risk(
    signal: Signal, facts: Facts, validated: tuple[Step, ...], *, approved_by: str | None, patient: bool
) -> Verdict:
    is_exit = facts.book.is_exit(signal.side, signal.quantity)
    candidate = Candidate(signal, facts.quote, is_exit, facts.now, approved=approved_by is not None)
    refusal = _stale_dump(candidate, facts) or next(denials(candidate, facts.book, facts.limits), None)
    if refusal is not None:
        if patient and refusal.code in _QUOTE_REASONS:
            return Verdict(validated, needs_quote=True)
        return Verdict((*validated, (S.DENIED, refusal)))
    approval = needs_approval(candidate, facts.limits)
    if approval is not None:
        return Verdict((*validated, (S.AWAITING_APPROVAL, approval)), is_exit=is_exit)
    passed = reason(ReasonCode.PERSON_APPROVED, by=approved_by) if approved_by else reason(ReasonCode.RISK_PASSED)
    return Verdict(
        (*validated, (S.APPROVED, passed), _gate(facts)), is_exit, reserve=True, reserve_price=candidate.reference
    )


def _stale_dump(candidate: Candidate, facts: Facts) -> Reason | None:
    """An exit goes out on whatever tick and lot were last known: a position must not be locked in by an old dump."""
    if candidate.is_exit or facts.instrument is None:
        return None
    return stale_dump(facts.instrument, trading_date(facts.now), facts.limits.max_dump_age_days)


def _session_is_dead(facts: Facts) -> bool:
    # UNKNOWN is let through: the call itself finds out whether the session lives.
    return facts.book.session in (SessionState.EXPIRED, SessionState.LOGIN_REQUIRED)


def _gate(facts: Facts) -> Step:
    if _session_is_dead(facts):
        return S.AWAITING_AUTH, reason(ReasonCode.SESSION_LOST, session=facts.book.session)
    return S.SUBMITTING, reason(ReasonCode.SUBMIT_INTENT_RECORDED)


def _after_login(signal: Signal, facts: Facts, *, reserved_exit: bool, patient: bool) -> Verdict:
    """What may have changed during the outage is asked again; sizes are not, the exposure is reserved."""
    if _session_is_dead(facts):
        return Verdict((), is_exit=reserved_exit)
    restored: Step = (S.APPROVED, reason(ReasonCode.SESSION_RESTORED))
    candidate = Candidate(signal, facts.quote, reserved_exit, facts.now, approved=True)
    rules = EXIT_RULES if reserved_exit else RECHECK_RULES
    closed, _ = _market_hours(signal, facts)
    refusal = (
        closed
        or _stale_dump(candidate, facts)
        or next((found for rule in rules if (found := rule(candidate, facts.book, facts.limits))), None)
    )
    if refusal is not None and patient and refusal.code in _QUOTE_REASONS:
        return Verdict((), is_exit=reserved_exit, needs_quote=True)
    if refusal is not None:
        return Verdict((restored, (S.DENIED, refusal)), is_exit=reserved_exit)
    return Verdict((restored, _gate(facts)), is_exit=reserved_exit)
