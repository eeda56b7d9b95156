"""The whole verdict from every state it is asked in: where the order goes, what it waits for, what is reserved."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapanda.domain.calendar import Calendar, Segment
from alphapanda.domain.instrument import Instrument, InstrumentType
from alphapanda.domain.reasons import ReasonCode
from alphapanda.domain.states import TERMINAL, TRANSITIONS, OrderState
from alphapanda.domain.vocabulary import Exchange, SessionState, Side, TradingSwitch, Variety
from alphapanda.risk.book import Book, QuoteView
from alphapanda.risk.clearance import Facts, Verdict, clear
from tests.unit.risk.desk import FLAT, LIMITS, NOW, book, limit, limits, quote, signal

S = OrderState
R = ReasonCode

SHARE = Instrument(Exchange.NSE, "INFY", 1, InstrumentType.EQUITY, "NSE_EQ", Decimal("0.05"), 1)
CALENDAR = Calendar.packaged()
OPEN_HOUR = datetime(2026, 11, 20, 5, 0, tzinfo=UTC)  # a Friday, 10:30 in India
NIGHT = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
ASKED_IN = (S.RECEIVED, S.VALIDATED, S.AWAITING_MARKET, S.AWAITING_APPROVAL, S.AWAITING_AUTH)


def facts(**changed: Any) -> Facts:
    known: dict[str, Any] = {
        "instrument": SHARE, "calendar": None, "quote": quote(), "book": FLAT, "limits": LIMITS, "now": NOW,
    }  # fmt: skip
    return Facts(**{**known, **changed})


def at(now: datetime, **changed: Any) -> Facts:
    """Facts under the packaged calendar, with a quote of that moment."""
    view = QuoteView(quote().price, now)
    return facts(calendar=CALENDAR, now=now, **{"quote": view, **changed})


def path(verdict: Verdict) -> list[OrderState]:
    return [state for state, _ in verdict.steps]


def why(verdict: Verdict) -> ReasonCode:
    return verdict.steps[-1][1].code


def test_a_sound_signal_goes_straight_to_submitting_with_its_exposure_reserved() -> None:
    verdict = clear(signal(), S.RECEIVED, facts())
    assert path(verdict) == [S.VALIDATED, S.APPROVED, S.SUBMITTING]
    assert (verdict.reserve, verdict.reserve_price, verdict.is_exit) == (True, Decimal(1000), False)


def test_an_exit_is_recognised_and_reserved_as_one() -> None:
    verdict = clear(signal(side=Side.SELL), S.RECEIVED, facts(book=book(position=10, switch=TradingSwitch.HALTED)))
    assert path(verdict)[-1] is S.SUBMITTING
    assert verdict.is_exit


@pytest.mark.parametrize("session", [SessionState.EXPIRED, SessionState.LOGIN_REQUIRED])
def test_a_dead_session_holds_the_order_back_with_its_exposure_reserved(session: SessionState) -> None:
    verdict = clear(signal(), S.RECEIVED, facts(book=book(session=session)))
    assert path(verdict) == [S.VALIDATED, S.APPROVED, S.AWAITING_AUTH]
    assert verdict.reserve


def test_a_session_nobody_knows_is_tried() -> None:
    assert path(clear(signal(), S.RECEIVED, facts(book=book(session=SessionState.UNKNOWN))))[-1] is S.SUBMITTING


@pytest.mark.parametrize("state", ASKED_IN)
def test_a_deadline_that_has_passed_ends_the_order_wherever_it_waits(state: OrderState) -> None:
    verdict = clear(signal(expires_at=NOW), state, facts())
    assert path(verdict) == [S.EXPIRED]


def test_a_breach_is_invalid_at_first_and_denied_once_the_signal_was_valid() -> None:
    gone = facts(instrument=None)
    assert path(clear(signal(), S.RECEIVED, gone)) == [S.INVALID]
    assert path(clear(signal(), S.AWAITING_MARKET, gone)) == [S.VALIDATED, S.DENIED]


def test_in_a_closed_market_an_order_waits_only_where_it_asks_to() -> None:
    assert why(clear(signal(generated_at=NIGHT), S.RECEIVED, at(NIGHT))) is R.MARKET_CLOSED
    verdict = clear(signal(generated_at=NIGHT, wait_for_open=True), S.RECEIVED, at(NIGHT))
    assert path(verdict) == [S.VALIDATED, S.AWAITING_MARKET]
    assert verdict.wait_until == CALENDAR.next_open(Segment.NSE_EQ, NIGHT)
    assert not verdict.reserve


def test_woken_before_the_open_it_waits_on_and_at_the_open_it_goes_on() -> None:
    waiting = signal(generated_at=NIGHT, wait_for_open=True)
    opens = CALENDAR.next_open(Segment.NSE_EQ, NIGHT)
    early = clear(waiting, S.AWAITING_MARKET, at(opens - timedelta(seconds=1)))
    assert (path(early), early.wait_until) == ([], opens)
    assert path(clear(waiting, S.AWAITING_MARKET, at(opens)))[-1] is S.SUBMITTING


def test_a_market_that_closes_while_an_order_waits_for_a_quote_sends_it_back_to_wait_or_denies_it() -> None:
    waiting = signal(generated_at=NIGHT, wait_for_open=True)
    assert path(clear(waiting, S.VALIDATED, at(NIGHT))) == [S.AWAITING_MARKET]
    assert path(clear(signal(generated_at=NIGHT), S.VALIDATED, at(NIGHT))) == [S.DENIED]


def test_an_approval_after_the_close_is_not_sent_into_a_closed_market() -> None:
    verdict = clear(signal(generated_at=NIGHT), S.AWAITING_APPROVAL, at(NIGHT), approved_by="anna")
    assert (path(verdict), why(verdict)) == ([S.DENIED], R.MARKET_CLOSED)


def test_a_date_the_calendar_does_not_know_is_refused_even_to_who_would_wait() -> None:
    beyond = datetime(2031, 1, 6, 5, 0, tzinfo=UTC)
    verdict = clear(signal(generated_at=beyond, wait_for_open=True), S.RECEIVED, at(beyond))
    assert why(verdict) is R.MARKET_CALENDAR_UNKNOWN


@pytest.mark.parametrize("view", [quote(None), quote(age_s=60)])
def test_a_missing_quote_is_waited_for_while_there_is_patience(view: QuoteView) -> None:
    patient = clear(signal(), S.RECEIVED, facts(quote=view), patient=True)
    assert (path(patient), patient.needs_quote) == ([S.VALIDATED], True)
    again = clear(signal(), S.VALIDATED, facts(quote=view), patient=True)
    assert (path(again), again.needs_quote) == ([], True)
    assert path(clear(signal(), S.VALIDATED, facts(quote=view))) == [S.DENIED]


def test_patience_is_for_quotes_only() -> None:
    halted = facts(book=book(switch=TradingSwitch.HALTED))
    assert path(clear(signal(), S.VALIDATED, halted, patient=True)) == [S.DENIED]


def test_a_large_entry_waits_for_a_person_and_goes_on_by_the_persons_word() -> None:
    asking = facts(limits=limits(approval_value=Decimal(100)))
    verdict = clear(signal(), S.RECEIVED, asking)
    assert path(verdict) == [S.VALIDATED, S.AWAITING_APPROVAL]
    assert not verdict.reserve
    assert path(clear(signal(), S.AWAITING_APPROVAL, asking)) == []
    approved = clear(signal(), S.AWAITING_APPROVAL, asking, approved_by="anna")
    assert path(approved) == [S.APPROVED, S.SUBMITTING]
    assert approved.steps[0][1].code is R.PERSON_APPROVED


def test_a_persons_word_does_not_lift_a_limit() -> None:
    tight = facts(limits=limits(approval_value=Decimal(100), max_order_quantity=5))
    assert path(clear(signal(), S.AWAITING_APPROVAL, tight, approved_by="anna")) == [S.DENIED]


# --- after an outage -------------------------------------------------------------------------------------------


def test_while_the_session_stays_dead_the_order_stays() -> None:
    assert path(clear(signal(), S.AWAITING_AUTH, facts(book=book(session=SessionState.EXPIRED)))) == []


def test_after_the_login_sizes_are_not_asked_again_for_they_are_reserved() -> None:
    tight = facts(limits=limits(max_position_quantity=1, max_order_quantity=1))
    assert path(clear(signal(), S.AWAITING_AUTH, tight)) == [S.APPROVED, S.SUBMITTING]


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"book": book(switch=TradingSwitch.HALTED)}, R.SWITCH_HALTED),
        ({"book": book(day_result=Decimal(-(10**6)))}, R.RISK_DAILY_LOSS),
        ({"quote": quote(None)}, R.MARKET_QUOTE_UNKNOWN),
    ],
)
def test_after_the_login_an_entry_is_asked_what_may_have_changed_and_an_exit_is_not(
    changed: dict[str, Any], code: ReasonCode
) -> None:
    verdict = clear(signal(), S.AWAITING_AUTH, facts(**changed))
    assert (path(verdict), why(verdict)) == ([S.APPROVED, S.DENIED], code)
    leaving = clear(signal(side=Side.SELL), S.AWAITING_AUTH, facts(**changed), reserved_exit=True)
    assert path(leaving) == [S.APPROVED, S.SUBMITTING]


@pytest.mark.parametrize("reserved_exit", [False, True])
def test_a_login_on_a_later_day_expires_what_was_meant_for_the_day_before(reserved_exit: bool) -> None:
    yesterday = signal(generated_at=NOW - timedelta(days=1))
    verdict = clear(yesterday, S.AWAITING_AUTH, facts(), reserved_exit=reserved_exit)
    assert path(verdict) == [S.EXPIRED]
    assert verdict.steps[0][1].code is ReasonCode.SIGNAL_DAY_OVER


def test_a_login_on_the_day_that_was_waited_for_goes_on() -> None:
    waited = signal(generated_at=NOW - timedelta(days=1), wait_for_open=True)
    assert path(clear(waited, S.AWAITING_AUTH, facts())) == [S.APPROVED, S.SUBMITTING]


def test_a_login_at_night_does_not_send_into_a_closed_market() -> None:
    verdict = clear(signal(generated_at=OPEN_HOUR), S.AWAITING_AUTH, at(NIGHT))
    assert (path(verdict), why(verdict)) == ([S.APPROVED, S.DENIED], R.MARKET_CLOSED)


def test_after_the_login_a_quote_is_waited_for_while_there_is_patience() -> None:
    verdict = clear(signal(), S.AWAITING_AUTH, facts(quote=quote(None)), patient=True)
    assert (path(verdict), verdict.needs_quote) == ([], True)


# --- whatever comes --------------------------------------------------------------------------------------------

books = st.builds(
    Book,
    session=st.sampled_from(SessionState),
    switch=st.sampled_from(TradingSwitch),
    position=st.integers(-200, 200),
    position_all_products=st.integers(-200, 200),
    reserved_buys=st.integers(0, 200),
    reserved_sells=st.integers(0, 200),
    reserved_exits=st.integers(0, 50),
    day_result=st.decimals(-20_000, 20_000, places=2),
    recent_twins=st.integers(0, 2),
)


@given(
    state=st.sampled_from(ASKED_IN),
    there=books,
    view=st.sampled_from([quote(), quote(None), quote(age_s=60)]),
    when=st.datetimes(datetime(2026, 1, 2), datetime(2026, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001
    calendar=st.sampled_from([None, CALENDAR]),
    instrument=st.sampled_from([None, SHARE]),
    approval=st.sampled_from([None, Decimal(100)]),
    person=st.sampled_from([None, "anna"]),
    patient=st.booleans(),
    terms=st.fixed_dictionaries(
        {"quantity": st.integers(1, 300), "side": st.sampled_from(Side), "wait_for_open": st.booleans()}
    ),
)
def test_every_verdict_is_a_legal_path_that_reserves_exactly_what_it_lets_through(
    state: OrderState,
    there: Book,
    view: QuoteView,
    when: datetime,
    calendar: Calendar | None,
    instrument: Instrument | None,
    approval: Decimal | None,
    person: str | None,
    patient: bool,
    terms: dict[str, Any],
) -> None:
    known = facts(
        book=there,
        quote=view,
        calendar=calendar,
        instrument=instrument,
        now=when,
        limits=limits(approval_value=approval),
    )
    asked = signal(**terms, generated_at=when)
    verdict = clear(asked, state, known, approved_by=person, patient=patient)
    current = state
    for entered in path(verdict):
        assert entered in TRANSITIONS[current], f"{current} -> {entered}"
        current = entered
    promised = S.APPROVED in path(verdict) and state is not S.AWAITING_AUTH
    assert verdict.reserve == promised
    if verdict.needs_quote:
        assert patient
        assert current not in TERMINAL
    if current is S.SUBMITTING and not verdict.is_exit and state is not S.AWAITING_AUTH:
        assert there.switch is TradingSwitch.ENABLED
        assert there.exposure_after(asked.side, asked.quantity) <= LIMITS.max_position_quantity


# --- after-market orders -----------------------------------------------------------------------------------------

AMO: dict[str, Any] = {"variety": Variety.AMO, "generated_at": NIGHT}


def test_an_after_market_order_goes_to_the_broker_while_the_market_is_closed() -> None:
    verdict = clear(signal(**AMO), S.RECEIVED, at(NIGHT))
    assert path(verdict) == [S.VALIDATED, S.APPROVED, S.SUBMITTING]


@pytest.mark.parametrize("moment", [OPEN_HOUR, datetime(2026, 11, 20, 3, 35, tzinfo=UTC)])  # 10:30, and the pre-open
def test_an_after_market_order_is_invalid_while_the_market_is_not_closed(moment: datetime) -> None:
    verdict = clear(signal(**{**AMO, "generated_at": moment}), S.RECEIVED, at(moment))
    assert (path(verdict), why(verdict)) == ([S.INVALID], R.MARKET_NOT_CLOSED)


def test_an_after_market_order_is_invalid_where_the_market_counts_as_always_open() -> None:
    assert why(clear(signal(**AMO), S.RECEIVED, facts())) is R.MARKET_NOT_CLOSED


def test_an_after_market_order_does_not_wait_for_the_open_itself() -> None:
    verdict = clear(signal(**AMO, wait_for_open=True), S.RECEIVED, at(NIGHT))
    assert (path(verdict), why(verdict)) == ([S.INVALID], R.VARIETY_NOT_ALLOWED)


def test_an_after_market_order_is_checked_on_the_last_price_of_the_day() -> None:
    evening = QuoteView(quote().price, NIGHT - timedelta(hours=6))
    assert path(clear(signal(**AMO), S.RECEIVED, at(NIGHT, quote=evening)))[-1] is S.SUBMITTING
    assert why(clear(signal(**AMO), S.RECEIVED, at(NIGHT, quote=quote(None)))) is R.MARKET_QUOTE_UNKNOWN
    assert path(clear(signal(**AMO, **limit("1000")), S.RECEIVED, at(NIGHT, quote=quote(None))))[-1] is S.SUBMITTING


@pytest.mark.parametrize(
    ("login", "becomes"),
    [
        (datetime(2026, 11, 22, 10, 0, tzinfo=UTC), S.SUBMITTING),  # on Sunday: meant for Monday, all the same
        (datetime(2026, 11, 23, 2, 0, tzinfo=UTC), S.SUBMITTING),  # on Monday, before the open
        (datetime(2026, 11, 23, 3, 46, tzinfo=UTC), S.EXPIRED),  # the open it was meant for has been
        (datetime(2026, 11, 23, 16, 0, tzinfo=UTC), S.EXPIRED),
    ],
)
def test_an_after_market_order_that_waits_for_a_login_is_for_the_next_open_only(
    login: datetime, becomes: OrderState
) -> None:
    assert path(clear(signal(**AMO), S.AWAITING_AUTH, at(login)))[-1] is becomes
