"""The instrument's rules, each alone: what breaks it is named, what just fits passes."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapanda.domain.instrument import Instrument, InstrumentType
from alphapanda.domain.money import Price
from alphapanda.domain.reasons import Reason, ReasonCode, reason
from alphapanda.domain.signal import OrderTerms
from alphapanda.domain.validation import instrument_breaches, stale_dump
from alphapanda.domain.vocabulary import Exchange, OrderType, Product, Side, Validity, Variety

R = ReasonCode
TODAY = date(2026, 11, 20)
SHARE = Instrument(
    Exchange.NSE, "INFY", 1, InstrumentType.EQUITY, "NSE_EQ", Decimal("0.05"), 1,
    lower_circuit=Price(Decimal("1350.00")), upper_circuit=Price(Decimal("1650.00")),
)  # fmt: skip
FUTURE = Instrument(
    Exchange.NFO, "NIFTY26NOVFUT", 2, InstrumentType.FUTURE, "NSE_FNO", Decimal("0.1"), 65, expiry=TODAY
)


def terms(instrument: Instrument = SHARE, **changed: Any) -> OrderTerms:
    product = Product.MIS
    known: dict[str, Any] = {
        "exchange": instrument.exchange,
        "tradingsymbol": instrument.tradingsymbol,
        "side": Side.BUY,
        "quantity": instrument.lot_size,
        "order_type": OrderType.MARKET,
        "product": product,
    }
    return OrderTerms(**{**known, **changed})


def limit(price: str) -> dict[str, Any]:
    return {"order_type": OrderType.LIMIT, "price": Decimal(price)}


def codes(order: OrderTerms, instrument: Instrument) -> list[ReasonCode]:
    return [found.code for found in instrument_breaches(order, instrument, TODAY)]


@pytest.mark.parametrize(
    ("instrument", "changed", "expected"),
    [
        (SHARE, {}, []),
        (SHARE, limit("1350.00"), []),
        (SHARE, limit("1650.00"), []),
        (SHARE, limit("1349.95"), [R.INSTRUMENT_PRICE_BAND]),
        (SHARE, limit("1650.05"), [R.INSTRUMENT_PRICE_BAND]),
        (SHARE, limit("1400.01"), [R.INSTRUMENT_TICK_SIZE]),
        (SHARE, limit("1700.01"), [R.INSTRUMENT_TICK_SIZE, R.INSTRUMENT_PRICE_BAND]),
        (SHARE, {"order_type": OrderType.SL_M, "trigger_price": Decimal("1400.02")}, [R.INSTRUMENT_TICK_SIZE]),
        (SHARE, {"product": Product.CNC}, []),
        (SHARE, {"product": Product.MTF}, []),
        (SHARE, {"product": Product.NRML}, [R.PRODUCT_NOT_ALLOWED]),
        (FUTURE, {}, []),  # on its last day it trades
        (FUTURE, {"product": Product.NRML, "quantity": 130}, []),
        (FUTURE, {"product": Product.CNC}, [R.PRODUCT_NOT_ALLOWED]),
        (FUTURE, {"quantity": 64}, [R.INSTRUMENT_LOT_SIZE]),
        (FUTURE, {"quantity": 66}, [R.INSTRUMENT_LOT_SIZE]),
        (replace(FUTURE, expiry=date(2026, 11, 19)), {}, [R.INSTRUMENT_NOT_TRADABLE]),
        (replace(SHARE, instrument_type=InstrumentType.INDEX), {}, [R.INSTRUMENT_NOT_TRADABLE]),
        (replace(SHARE, lower_circuit=None, upper_circuit=None), limit("1.00"), []),
        (replace(SHARE, tick_size=Decimal(0), lot_size=0), {**limit("1400.0001"), "quantity": 7}, []),
    ],
)
def test_each_rule_names_what_breaks_it(
    instrument: Instrument, changed: dict[str, Any], expected: list[ReasonCode]
) -> None:
    order = terms(instrument if instrument.lot_size else SHARE, **changed)
    assert codes(order, instrument) == expected


@given(st.integers(1, 10_000), st.sampled_from([1, 15, 25, 65, 75]))
def test_a_quantity_fits_exactly_where_it_is_whole_lots(quantity: int, lot: int) -> None:
    broken = R.INSTRUMENT_LOT_SIZE in codes(terms(quantity=quantity), replace(SHARE, lot_size=lot))
    assert broken == (quantity % lot != 0)


def test_every_code_has_a_sentence_for_people() -> None:
    assert all(code.explanation.endswith(".") for code in ReasonCode)


@given(st.text())
def test_a_reason_is_one_clean_line_whatever_was_put_into_it(written: str) -> None:
    why = reason(R.BROKER_REJECTED, message=written)
    assert "\x00" not in why.detail
    assert len(why.detail.splitlines()) == 1
    assert len(str(why)) < 1100


def test_a_reason_reads_code_then_facts() -> None:
    assert str(reason(R.RISK_PASSED)) == "RISK_PASSED"
    assert str(reason(R.RISK_ORDER_VALUE, value=1, limit=2)) == "RISK_ORDER_VALUE: value=1, limit=2"
    assert str(Reason(code=R.RISK_PASSED)) == "RISK_PASSED"


def iceberg(legs: int, quantity: int) -> dict[str, Any]:
    return {"variety": Variety.ICEBERG, "iceberg_legs": legs, "quantity": quantity}


@pytest.mark.parametrize(
    ("instrument", "changed", "expected"),
    [
        (SHARE, iceberg(5, 5), []),
        (SHARE, iceberg(5, 4), [R.ICEBERG_LEGS]),
        (FUTURE, iceberg(2, 130), []),
        (FUTURE, iceberg(2, 195), []),  # the broker puts the odd lot into the first leg
        (FUTURE, iceberg(2, 65), [R.ICEBERG_LEGS]),
        (SHARE, {**iceberg(2, 10), "validity": Validity.IOC}, [R.VARIETY_NOT_ALLOWED]),
        (SHARE, {**iceberg(2, 10), "validity": Validity.TTL, "validity_minutes": 5}, []),
        (replace(SHARE, exchange=Exchange.BSE), iceberg(2, 10), [R.VARIETY_NOT_ALLOWED]),
        (replace(SHARE, exchange=Exchange.BSE), {**iceberg(2, 10), **limit("1400.00")}, []),
        (SHARE, {"variety": Variety.AMO}, []),
        (SHARE, {"variety": Variety.AMO, "validity": Validity.IOC}, [R.VARIETY_NOT_ALLOWED]),
        (SHARE, {"variety": Variety.AMO, "validity": Validity.TTL, "validity_minutes": 5}, [R.VARIETY_NOT_ALLOWED]),
    ],
)
def test_a_variety_must_go_with_the_other_terms(
    instrument: Instrument, changed: dict[str, Any], expected: list[ReasonCode]
) -> None:
    assert codes(terms(instrument, **changed), instrument) == expected


def test_what_has_left_the_dump_is_not_traded() -> None:
    gone = replace(SHARE, dump_date=date(2026, 11, 18), withdrawn_on=date(2026, 11, 19))
    (found,) = instrument_breaches(terms(gone), gone, TODAY)
    assert str(found) == "INSTRUMENT_NOT_TRADABLE: instrument=NSE:INFY, gone_since=2026-11-19"


@pytest.mark.parametrize(
    ("dump_date", "max_age_days", "stale"),
    [
        (date(2026, 11, 20), 1, False),
        (date(2026, 11, 16), 4, False),
        (date(2026, 11, 15), 4, True),
        (date(2026, 11, 15), None, False),
        (None, 1, False),
        (date(2026, 11, 21), 1, False),
    ],
)
def test_a_dump_is_stale_beyond_its_days(dump_date: date | None, max_age_days: int | None, stale: bool) -> None:
    found = stale_dump(replace(SHARE, dump_date=dump_date), TODAY, max_age_days)
    assert (found is not None) is stale
    if found is not None:
        assert str(found) == "INSTRUMENT_DUMP_STALE: dump=2026-11-15, age_days=5, limit_days=4"
