"""A signal's own rules: bad input is refused with the field and the rule; good input is kept exactly."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from alphapanda.domain.signal import MAX_PRICE, MAX_QUANTITY, Signal

NOW = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)

GOOD: dict[str, Any] = {
    "signal_id": "s1",
    "strategy_id": "test",
    "brokers": ["paper"],
    "exchange": "NSE",
    "tradingsymbol": "INFY",
    "side": "BUY",
    "quantity": 10,
    "order_type": "MARKET",
    "product": "MIS",
    "generated_at": NOW,
}


def signal(**changed: Any) -> Signal:
    return Signal.model_validate({**GOOD, **changed})


LIMIT = {"order_type": "LIMIT", "price": "1400.05"}
STOP = {"order_type": "SL", "price": "1501", "trigger_price": "1500"}


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"strategy_id": "EXTERNAL"}, "strategy_id"),
        ({"quantity": 0}, "quantity"),
        ({"quantity": -1}, "quantity"),
        ({"quantity": MAX_QUANTITY + 1}, "quantity"),
        ({"quantity": 10.0}, "quantity"),
        ({"quantity": "10"}, "quantity"),
        ({"quantity": True}, "quantity"),
        ({**LIMIT, "price": 1400.05}, "price"),
        ({**LIMIT, "price": "0"}, "price"),
        ({**LIMIT, "price": "-1"}, "price"),
        ({**LIMIT, "price": "NaN"}, "price"),
        ({**LIMIT, "price": "Infinity"}, "price"),
        ({**LIMIT, "price": "1400.00001"}, "price"),
        ({**LIMIT, "price": str(MAX_PRICE + 1)}, "price"),
        ({**LIMIT, "price": "many"}, "price"),
        ({**LIMIT, "price": None}, "price"),
        ({"price": "1400"}, "price"),
        ({"trigger_price": "1400"}, "trigger_price"),
        ({"order_type": "SL-M"}, "trigger_price"),
        ({**STOP, "price": "1499"}, "price"),
        ({**STOP, "side": "SELL"}, "price"),
        ({"validity": "TTL"}, "validity_minutes"),
        ({"validity": "DAY", "validity_minutes": 5}, "validity_minutes"),
        ({"validity": "TTL", "validity_minutes": 376}, "validity_minutes"),
        ({"tradingsymbol": ""}, "tradingsymbol"),
        ({"tradingsymbol": "INFY\n"}, "tradingsymbol"),
        ({"tradingsymbol": "INFY;DROP"}, "tradingsymbol"),
        ({"exchange": "NYSE"}, "exchange"),
        ({"side": "HOLD"}, "side"),
        ({"product": "BO"}, "product"),
        ({"brokers": []}, "brokers"),
        ({"brokers": ["paper", "paper"]}, "brokers"),
        ({"brokers": ["Paper"]}, "brokers"),
        ({"signal_id": "a b"}, "signal_id"),
        ({"strategy_id": ""}, "strategy_id"),
        ({"generated_at": datetime(2026, 11, 20)}, "generated_at"),  # noqa: DTZ001 - the missing zone is the point
        ({"expires_at": "2026-11-20T10:00:00"}, "expires_at"),
        ({"leverage": 5}, "leverage"),
    ],
)
def test_a_bad_field_is_refused_by_its_name(changed: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        signal(**changed)
    first = caught.value.errors()[0]
    assert field in ".".join(str(part) for part in first["loc"]) + first["msg"]


@given(st.decimals(min_value="0.0001", max_value=MAX_PRICE, places=4))
def test_a_price_is_kept_to_the_last_digit(price: Decimal) -> None:
    assert signal(order_type="LIMIT", price=str(price)).price == price


@given(st.sampled_from(["BUY", "SELL"]), st.decimals("1", "2000", places=2), st.decimals("1", "2000", places=2))
def test_a_stops_limit_lies_beyond_its_trigger(side: str, price: Decimal, trigger: Decimal) -> None:
    fits = price >= trigger if side == "BUY" else price <= trigger
    terms = {"side": side, "order_type": "SL", "price": price, "trigger_price": trigger}
    if fits:
        assert signal(**terms).trigger_price == trigger
    else:
        with pytest.raises(ValidationError, match="trigger_price"):
            signal(**terms)


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({}, "BUY 10 NSE:INFY @ MARKET"),
        (LIMIT, "BUY 10 NSE:INFY @ 1400.05"),
        (STOP, "BUY 10 NSE:INFY @ 1501 trigger 1500"),
        ({"order_type": "SL-M", "trigger_price": "1500"}, "BUY 10 NSE:INFY @ SL-M trigger 1500"),
    ],
)
def test_the_summary_says_the_terms_on_one_line(changed: dict[str, Any], line: str) -> None:
    assert signal(**changed).summary == line


def test_a_signal_expires_at_its_deadline_not_after_it() -> None:
    timed = signal(expires_at=NOW)
    assert not timed.is_expired(NOW - timedelta(microseconds=1))
    assert timed.is_expired(NOW)
    assert not signal().is_expired(NOW + timedelta(days=365))


def test_a_signal_survives_its_journey_through_json() -> None:
    sent = signal(**STOP, expires_at=NOW, metadata={"n": [1, {"a": None}]})
    assert Signal.model_validate_json(sent.model_dump_json()) == sent
    assert Signal.model_validate({**sent.terms.model_dump(), **sent.model_dump()}) == sent
