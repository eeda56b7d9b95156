"""Terms as Kite takes them, freeze quantities, and the answer to a sliced order."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapanda.brokers.protocol import AmbiguousOutcome, BrokerRejected
from alphapanda.brokers.zerodha.freeze import FreezeTable
from alphapanda.brokers.zerodha.rows import entry
from alphapanda.brokers.zerodha.slices import sliced_of
from alphapanda.brokers.zerodha.terms import modification, number, placement
from alphapanda.domain.execution import OrderChange
from alphapanda.domain.vocabulary import Exchange, OrderType, Product, Validity
from tests.unit.brokers.zerodha.kite_rows import NOW, OURS, order_row, request

FREEZE = FreezeTable.packaged()
DAY = date(2026, 11, 20)


def sent(protection: str = "-1", **changes: Any) -> dict[str, Any]:
    call = placement(request(**changes), protection=Decimal(protection), freeze=FREEZE, day=DAY)
    assert not call.sliced
    return call.arguments


def test_a_market_order_carries_its_protection() -> None:
    assert sent() == {
        "variety": "regular", "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "quantity": 10,
        "product": "MIS", "order_type": "MARKET", "validity": "DAY", "tag": OURS, "market_protection": "-1",
    }  # fmt: skip
    assert sent("2.50")["market_protection"] == "2.5"
    assert sent(order_type="SL-M", trigger_price="1500")["market_protection"] == "-1"


@pytest.mark.parametrize("changes", [{"order_type": "LIMIT", "price": "1"},
                                     {"order_type": "SL", "price": "1", "trigger_price": "1"}])  # fmt: skip
def test_an_order_with_a_limit_has_no_protection(changes: dict[str, Any]) -> None:
    assert "market_protection" not in sent(**changes)


@pytest.mark.parametrize("product", list(Product))
@pytest.mark.parametrize("validity", list(Validity))
@pytest.mark.parametrize("variety", ["regular", "amo", "iceberg"])
def test_every_product_validity_and_variety_is_sent_in_kites_words(
    product: Product, validity: Validity, variety: str
) -> None:
    arguments = sent(
        product=product, validity=validity, variety=variety,
        validity_minutes=7 if validity is Validity.TTL else None, iceberg_legs=5 if variety == "iceberg" else None,
    )  # fmt: skip
    assert (arguments["product"], arguments["validity"], arguments["variety"]) == (product, validity, variety)
    assert arguments.get("validity_ttl") == (7 if validity is Validity.TTL else None)
    legs = (arguments.get("iceberg_legs"), arguments.get("iceberg_quantity"))
    assert legs == ((5, 2) if variety == "iceberg" else (None, None))


@pytest.mark.parametrize("order_type", list(OrderType))
def test_every_order_type_is_sent_with_its_prices(order_type: OrderType) -> None:
    arguments = sent(
        order_type=order_type,
        price="1510.50" if order_type.has_limit_price else None,
        trigger_price="1500.05" if order_type.has_trigger else None,
    )
    assert arguments.get("price") == ("1510.5" if order_type.has_limit_price else None)
    assert arguments.get("trigger_price") == ("1500.05" if order_type.has_trigger else None)


@given(value=st.decimals(min_value=Decimal("0.0001"), max_value=10**7, places=4))
def test_a_price_is_sent_in_plain_digits(value: Decimal) -> None:
    text = number(value)
    assert text is not None
    assert Decimal(text) == value
    assert set(text) <= set("0123456789.")
    assert not text.endswith((".", ".0"))


def test_round_prices_have_no_exponent() -> None:
    assert [number(Decimal(text)) for text in ("1E+3", "100", "100.00", "0.0500")] == ["1000", "100", "100", "0.05"]


def test_an_iceberg_is_split_evenly_or_not_at_all() -> None:
    with pytest.raises(BrokerRejected, match="10 cannot be split into 3 equal legs"):
        sent(variety="iceberg", iceberg_legs=3)


@pytest.mark.parametrize(
    ("quantity", "sliced"), [(1800, False), (1801, True), (18_000, True)]
)  # fmt: skip
def test_an_order_above_the_freeze_quantity_is_sliced(quantity: int, sliced: bool) -> None:
    asked = request(exchange="NFO", tradingsymbol="NIFTY26NOVFUT", product="NRML", quantity=quantity)
    call = placement(asked, protection=Decimal(-1), freeze=FREEZE, day=DAY)
    assert call.sliced is sliced
    assert call.arguments["tag"] == OURS


def test_an_order_of_more_slices_than_the_broker_makes_is_refused_unsent() -> None:
    asked = request(exchange="NFO", tradingsymbol="NIFTY26NOVFUT", product="NRML", quantity=18_001)
    with pytest.raises(BrokerRejected, match="needs 11 slices of 1800; the broker makes 10 at most"):
        placement(asked, protection=Decimal(-1), freeze=FREEZE, day=DAY)


def test_an_iceberg_is_never_sliced() -> None:
    asked = request(
        exchange="NFO", tradingsymbol="NIFTY26NOVFUT", product="NRML", quantity=3600, variety="iceberg", iceberg_legs=2
    )
    assert not placement(asked, protection=Decimal(-1), freeze=FREEZE, day=DAY).sliced


@pytest.mark.parametrize(
    ("exchange", "tradingsymbol", "quantity"),
    [
        ("NFO", "NIFTY26NOVFUT", 1800),
        ("NFO", "NIFTY2680724400CE", 1800),
        ("NFO", "NIFTY26O0724400PE", 1800),
        ("NFO", "BANKNIFTY26NOV56000CE", 600),
        ("NFO", "FINNIFTY26NOV26000PE", 1800),
        ("NFO", "MIDCPNIFTY26NOV13000.5CE", 2800),
        ("NFO", "NIFTYNXT5026NOVFUT", None),
        ("NFO", "RELIANCE26NOVFUT", None),
        ("BFO", "NIFTY26NOVFUT", None),
        ("NSE", "NIFTY", None),
        ("NSE", "NIFTYBEES", None),
    ],
)
def test_the_freeze_quantity_is_of_the_contracts_own_underlying(
    exchange: str, tradingsymbol: str, quantity: int | None
) -> None:
    assert FREEZE.quantity(Exchange(exchange), tradingsymbol, DAY) == quantity


def test_freeze_quantities_are_unknown_before_their_date() -> None:
    assert FREEZE.quantity(Exchange.NFO, "NIFTY26NOVFUT", date(2026, 7, 31)) is None


def test_a_change_sends_only_what_changes() -> None:
    row = entry(order_row("7", variety="amo"), now=NOW)
    change = OrderChange(price=Decimal("1501.50"), quantity=5)
    assert modification(row, change, protection=Decimal(-1)) == {
        "order_id": "7", "price": "1501.5", "quantity": 5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("was", "change"),
    [
        ("SL-M", OrderChange(trigger_price=Decimal(1))),
        ("LIMIT", OrderChange(order_type=OrderType.MARKET)),
    ],
)
def test_a_change_that_leaves_or_makes_a_market_order_carries_the_protection(was: str, change: OrderChange) -> None:
    row = entry(order_row("7", order_type=was), now=NOW)
    assert modification(row, change, protection=Decimal(2))["market_protection"] == "2"


def test_an_order_cannot_become_ttl() -> None:
    row = entry(order_row("7"), now=NOW)
    with pytest.raises(BrokerRejected, match="validity"):
        modification(row, OrderChange(validity=Validity.TTL), protection=Decimal(-1))


def child_error(code: int, error_type: str, message: str = "no") -> dict[str, Any]:
    return {"error": {"code": code, "error_type": error_type, "message": message, "data": None}}


def test_a_refused_slice_is_told_from_one_in_doubt() -> None:
    answer = {
        "order_id": "9",
        "children": [
            {"order_id": "1"},
            child_error(400, "MarginException", "Insufficient funds."),
            child_error(503, "NetworkException"),
        ],
    }
    sliced = sliced_of(answer)
    assert (sliced.broker_order_id, sliced.placed, sliced.refused, sliced.in_doubt) == ("9", frozenset({"1"}), 1, 1)
    assert (sliced.message, sliced.error()) == ("Insufficient funds.", None)


def test_an_order_of_which_no_slice_was_taken_is_refused_or_in_doubt() -> None:
    refused = sliced_of({"order_id": "9", "children": [child_error(400, "MarginException", "Insufficient funds.")]})
    doubtful = sliced_of({"order_id": "9", "children": [child_error(400, "OrderException", "timed out")]})
    assert type(refused.error()) is BrokerRejected
    assert type(doubtful.error()) is AmbiguousOutcome


@pytest.mark.parametrize(
    "answer",
    [
        None, [], {}, {"order_id": "9"}, {"order_id": "9", "children": []}, {"order_id": "9", "children": [{}]},
        {"order_id": "9", "children": ["1"]}, {"order_id": "9", "children": [{"error": "no"}]},
        {"order_id": None, "children": [{"order_id": "1"}]},
    ],
)  # fmt: skip
def test_an_answer_of_another_shape_is_not_understood(answer: object) -> None:
    with pytest.raises((TypeError, KeyError)):
        sliced_of(answer)
