"""Signals that break a rule of their instrument or market end as INVALID, before anything is reserved or sent."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from alphapanda.domain.states import OrderState
from alphapanda.domain.vocabulary import Exchange, OrderType, Product, Validity, Variety
from tests.rehearsal import Rehearsal
from tests.workflow.conftest import Rehearse
from tests.workflow.support import calendar_file

S = OrderState

FUTURE: dict[str, Any] = {"exchange": Exchange.NFO, "tradingsymbol": "NIFTY26DECFUT", "product": Product.NRML}


@pytest.mark.exercises("RECEIVED > INVALID")
@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"tradingsymbol": "NOSUCH"}, "INSTRUMENT_UNKNOWN"),
        ({"order_type": OrderType.LIMIT, "price": Decimal("1500.03")}, "INSTRUMENT_TICK_SIZE"),
        ({"order_type": OrderType.SL_M, "trigger_price": Decimal("1500.01")}, "INSTRUMENT_TICK_SIZE"),
        ({**FUTURE, "quantity": 64}, "INSTRUMENT_LOT_SIZE"),
        ({**FUTURE, "quantity": 65, "product": Product.CNC}, "PRODUCT_NOT_ALLOWED"),
        ({"product": Product.NRML}, "PRODUCT_NOT_ALLOWED"),
        ({"tradingsymbol": "NIFTY 50"}, "INSTRUMENT_NOT_TRADABLE"),
        ({"variety": Variety.AMO}, "MARKET_NOT_CLOSED"),
        ({"variety": Variety.ICEBERG, "iceberg_legs": 11}, "ICEBERG_LEGS"),
        ({"variety": Variety.ICEBERG, "iceberg_legs": 2, "validity": Validity.IOC}, "VARIETY_NOT_ALLOWED"),
    ],
)
async def test_a_signal_that_breaks_a_rule_is_invalid(rehearsal: Rehearsal, terms: dict[str, Any], code: str) -> None:
    order = await rehearsal.send(**terms)
    row = await rehearsal.until(order, S.INVALID)
    assert row.reason_code == code
    assert row.tag is None
    assert await rehearsal.path(order) == ["RECEIVED", "INVALID"]


async def test_a_signal_in_a_closed_market_is_invalid_unless_it_asks_to_wait(
    rehearse_with: Rehearse, tmp_path: Path
) -> None:
    closed = {"always_open": False, "calendar_file": calendar_file(tmp_path, None)}
    async with rehearse_with(market=closed) as desk:
        row = await desk.until(await desk.send(), S.INVALID)
        assert row.reason_code == "MARKET_CLOSED"


async def test_an_after_market_order_reaches_the_broker_while_the_market_is_closed(
    rehearse_with: Rehearse, tmp_path: Path
) -> None:
    closed = {"always_open": False, "calendar_file": calendar_file(tmp_path, None)}
    async with rehearse_with(market=closed) as desk:
        row = await desk.until(await desk.send(variety=Variety.AMO), S.REJECTED)
        assert "the paper exchange keeps no after-market orders" in row.reason


async def test_a_segment_the_calendar_does_not_know_is_refused_not_guessed(
    rehearse_with: Rehearse, tmp_path: Path
) -> None:
    closed = {"always_open": False, "calendar_file": calendar_file(tmp_path, None)}
    async with rehearse_with(market=closed) as desk:
        row = await desk.until(await desk.send(**FUTURE, quantity=65, wait_for_open=True), S.INVALID)
        assert row.reason_code == "MARKET_CALENDAR_UNKNOWN"
