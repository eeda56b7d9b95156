"""Orders of the simulator on Kite's path."""

from decimal import Decimal

import pytest

from alphapanda.kitesim.errors import KiteError
from alphapanda.kitesim.exchange import TOO_MANY_MODIFICATIONS
from alphapanda.kitesim.orders import Fate
from tests.unit.kitesim.simulated import Simulated


@pytest.fixture
def sim() -> Simulated:
    made = Simulated()
    made.tick("1500")
    return made


def test_a_limit_order_that_is_reached_completes_on_kites_path(sim: Simulated) -> None:
    order_id = sim.place(price="1500")

    assert sim.path(order_id) == ["PUT ORDER REQ RECEIVED", "VALIDATION PENDING", "OPEN PENDING", "OPEN", "COMPLETE"]
    assert sim.order(order_id).average_price == 1500
    assert len(order_id) == 19


def test_a_resting_limit_order_trades_at_its_own_price_when_the_market_comes_to_it(sim: Simulated) -> None:
    order_id = sim.place(price="1490")
    sim.tick("1495")
    assert sim.order(order_id).status == "OPEN"

    sim.tick("1480")

    assert sim.order(order_id).average_price == 1490


def test_a_market_order_becomes_a_limit_at_the_band_and_what_does_not_fill_stays_open(sim: Simulated) -> None:
    sim.tick("1500", volume=4)

    order_id = sim.place(order_type="MARKET", price="", market_protection="2")

    order = sim.order(order_id)
    assert (order.order_type, order.price) == ("LIMIT", Decimal(1530))
    assert (order.status, order.filled_quantity) == ("OPEN", 4)
    assert order.tags == ("tag1", "mktp", "mktp:2.00")
    sim.tick("1531")
    assert sim.order(order_id).filled_quantity == 4  # beyond the band
    sim.tick("1530")
    assert sim.order(order_id).status == "COMPLETE"


@pytest.mark.parametrize(("price", "percent"), [("1480", "0.50"), ("420", "1.00")])
def test_automatic_protection_depends_on_the_price(price: str, percent: str) -> None:
    sim = Simulated()
    symbol = "INFY" if price == "1480" else "ITC"
    sim.tick(price, key=f"NSE:{symbol}")

    order_id = sim.place(tradingsymbol=symbol, order_type="MARKET", price="", market_protection="-1")

    assert f"mktp:{percent}" in sim.order(order_id).tags


@pytest.mark.parametrize("protection", ["", "0"])
@pytest.mark.parametrize("order_type", ["MARKET", "SL-M"])
def test_an_order_without_market_protection_is_refused(sim: Simulated, order_type: str, protection: str) -> None:
    with pytest.raises(KiteError, match="market protection") as refused:
        sim.place(order_type=order_type, price="", trigger_price="1510", market_protection=protection)

    assert (refused.value.error_type, refused.value.status) == ("InputException", 400)
    assert not sim.book.orders


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"tag": "a" * 21}, "tag"),
        ({"price": "1500.03"}, "Tick size"),
        ({"quantity": "0"}, "quantity"),
        ({"quantity": "many"}, "quantity"),
        ({"price": "NaN"}, "price"),
        ({"exchange": ""}, "exchange"),
        ({"tradingsymbol": "NIFTY 50"}, "does not exist"),
        ({"exchange": "NFO", "tradingsymbol": "NOSUCH"}, "does not exist"),
        ({"validity": "TTL"}, "validity_ttl"),
        ({"order_type": "SL", "trigger_price": "1510", "price": "1505"}, "Trigger price"),
        ({"product": "BO"}, "product"),
    ],
)
def test_bad_input_is_refused_before_anything_is_in_the_book(sim: Simulated, params: dict[str, str], said: str) -> None:
    with pytest.raises(KiteError, match=said) as refused:
        sim.place(**params)

    assert refused.value.error_type == "InputException"
    assert not sim.book.orders


def test_a_derivative_trades_in_whole_lots(sim: Simulated) -> None:
    future = sim.derivative("FUT")
    params = {"exchange": "NFO", "tradingsymbol": future.tradingsymbol, "product": "NRML", "price": "24000"}

    with pytest.raises(KiteError, match="multiples of 75"):
        sim.place(**params, quantity="74")

    assert sim.order(sim.place(**params, quantity="75")).status == "COMPLETE"


def test_funds_that_do_not_suffice_are_a_margin_exception() -> None:
    sim = Simulated(starting_cash=Decimal(1000))

    with pytest.raises(KiteError, match="Insufficient funds") as refused:
        sim.place(product="CNC")

    assert refused.value.error_type == "MarginException"


def test_what_rests_blocks_funds_and_a_cancel_frees_them() -> None:
    sim = Simulated(starting_cash=Decimal(15_000))
    order_id = sim.place(product="CNC", price="1400")
    assert sim.exchange.intake.available() == 1000

    sim.exchange.cancel("regular", order_id, sim.now)

    assert sim.exchange.intake.available() == 15_000


def test_delivery_sells_only_what_is_held() -> None:
    sim = Simulated(holdings=[{"tradingsymbol": "INFY", "quantity": 5, "average_price": "1000"}])

    with pytest.raises(KiteError) as refused:
        sim.place(product="CNC", transaction_type="SELL", quantity="6", price="1400")

    assert refused.value.error_type == "HoldingException"
    assert sim.order(sim.place(product="CNC", transaction_type="SELL", quantity="5", price="1400")).filled_quantity == 5


def test_an_ioc_order_leaves_nothing_behind(sim: Simulated) -> None:
    sim.tick("1500", volume=3)

    order = sim.order(sim.place(validity="IOC"))

    assert (order.status, order.filled_quantity, order.cancelled_quantity) == ("CANCELLED", 3, 7)


def test_a_ttl_order_is_cancelled_when_its_minutes_are_over(sim: Simulated) -> None:
    order_id = sim.place(price="1400", validity="TTL", validity_ttl="2")
    sim.later(119)
    assert sim.order(order_id).status == "OPEN"

    sim.later(1)

    assert sim.order(order_id).status == "CANCELLED"


@pytest.mark.parametrize(
    ("order_type", "price", "protection", "paid"), [("SL", "1515", "", 1510), ("SL-M", "", "2", 1510)]
)
def test_a_stop_waits_for_its_trigger_and_then_is_a_limit(
    sim: Simulated, order_type: str, price: str, protection: str, paid: int
) -> None:
    order_id = sim.place(order_type=order_type, price=price, trigger_price="1510", market_protection=protection)
    assert sim.order(order_id).status == "TRIGGER PENDING"
    sim.tick("1509")
    assert sim.order(order_id).status == "TRIGGER PENDING"

    sim.tick("1510")

    assert sim.path(order_id)[-3:] == ["TRIGGER PENDING", "OPEN", "COMPLETE"]
    assert sim.order(order_id).average_price == paid


@pytest.mark.parametrize(("side", "trigger", "bound"), [("BUY", "1490", "higher"), ("SELL", "1510", "lower")])
def test_a_stop_whose_trigger_has_passed_is_rejected(sim: Simulated, side: str, trigger: str, bound: str) -> None:
    terms = {"order_type": "SL-M", "price": "", "trigger_price": trigger, "market_protection": "2"}
    order_id = sim.place(transaction_type=side, **terms)
    order = sim.order(order_id)
    assert (order.status, order.filled_quantity) == ("REJECTED", 0)
    assert bound in (order.status_message or "")


def test_a_price_beyond_the_circuit_is_rejected_by_the_exchange_after_acceptance(sim: Simulated) -> None:
    order = sim.order(sim.place(price="2000"))

    assert order.status == "REJECTED"
    assert "circuit" in (order.status_message or "")


def test_an_amo_waits_for_the_open_and_then_cancels_as_regular_only(sim: Simulated) -> None:
    with pytest.raises(KiteError, match="during market hours"):
        sim.place("amo")
    sim.exchange.close_market(sim.now)
    with pytest.raises(KiteError, match="closed"):
        sim.place()
    order_id = sim.place("amo", price="1400")
    assert sim.path(order_id) == ["PUT ORDER REQ RECEIVED", "AMO REQ RECEIVED"]

    sim.exchange.open_market(sim.now)

    assert (sim.order(order_id).status, sim.order(order_id).variety) == ("OPEN", "amo")
    with pytest.raises(KiteError, match="variety"):
        sim.exchange.cancel("amo", order_id, sim.now)
    sim.exchange.cancel("regular", order_id, sim.now)
    assert sim.order(order_id).status == "CANCELLED"


def test_an_amo_is_cancelled_as_amo_before_the_open() -> None:
    sim = Simulated(market_open=False)
    order_id = sim.place("amo")

    sim.exchange.cancel("amo", order_id, sim.now)

    assert sim.order(order_id).status == "CANCELLED"


def test_an_iceberg_shows_one_leg_after_the_other(sim: Simulated) -> None:
    first = sim.place("iceberg", quantity="25", iceberg_legs="3", iceberg_quantity="10", price="1490")
    assert len(sim.book.orders) == 1
    sim.tick("1490", volume=10)
    assert sim.order(first).status == "COMPLETE"
    assert len(sim.book.orders) == 2

    sim.tick("1490", volume=100)

    legs = [order.meta["iceberg"] for order in sim.book.orders.values()]
    assert [leg["leg"] for leg in legs] == [1, 2, 3]
    assert [leg["remaining_quantity"] for leg in legs] == [15, 5, 0]
    assert [order.quantity for order in sim.book.orders.values()] == [10, 10, 5]
    assert {order.tag for order in sim.book.orders.values()} == {"tag1"}
    assert len({order.placement for order in sim.book.orders.values()}) == 1


def test_a_large_order_is_sliced_and_every_slice_carries_the_tag(sim: Simulated) -> None:
    future = sim.derivative("FUT")
    params = {"exchange": "NFO", "tradingsymbol": future.tradingsymbol, "product": "NRML", "price": "24000"}

    placed = sim.placed("regular", Fate(failing_slices=frozenset({1})), **params, quantity="3675", autoslice="true")

    assert placed.children is not None
    assert [sorted(child) for child in placed.children] == [["order_id"], ["error"], ["order_id"]]
    assert placed.children[1]["error"]["error_type"] == "MarginException"
    assert [order.quantity for order in sim.book.orders.values()] == [1800, 75]
    assert placed.order_id not in sim.book.orders
    parent = f"autoslice:{placed.order_id}"
    assert {order.tags for order in sim.book.orders.values()} == {("tag1", "autoslice", parent)}
    assert {order.tag for order in sim.book.orders.values()} == {"tag1"}


@pytest.mark.parametrize(("quantity", "said"), [("1800", "below the freeze"), ("18075", "maximum of 10 slices")])
def test_slicing_has_its_bounds(sim: Simulated, quantity: str, said: str) -> None:
    future = sim.derivative("FUT")
    params = {"exchange": "NFO", "tradingsymbol": future.tradingsymbol, "product": "NRML", "price": "24000"}

    with pytest.raises(KiteError, match=said):
        sim.place(**params, quantity=quantity, autoslice="true")


def test_an_order_above_the_freeze_quantity_is_rejected_after_acceptance(sim: Simulated) -> None:
    future = sim.derivative("FUT")
    params = {"exchange": "NFO", "tradingsymbol": future.tradingsymbol, "product": "NRML", "price": "24000"}

    assert sim.order(sim.place(**params, quantity="1875")).status == "REJECTED"


def test_the_twenty_sixth_modification_is_refused(sim: Simulated) -> None:
    order_id = sim.place(price="1400")
    for index in range(25):
        sim.exchange.modify("regular", order_id, {"price": str(1401 + index)}, sim.now)

    with pytest.raises(KiteError) as refused:
        sim.exchange.modify("regular", order_id, {"price": "1390"}, sim.now)

    assert (refused.value.error_type, refused.value.message) == ("NetworkException", TOO_MANY_MODIFICATIONS)
    assert sim.order(order_id).price == 1425


def test_a_modified_order_meets_the_market_again(sim: Simulated) -> None:
    order_id = sim.place(price="1400")

    sim.exchange.modify("regular", order_id, {"price": "1500", "quantity": "20"}, sim.now)

    assert sim.path(order_id)[-5:] == ["MODIFY VALIDATION PENDING", "MODIFY PENDING", "MODIFIED", "OPEN", "COMPLETE"]
    assert sim.order(order_id).filled_quantity == 20


def test_what_is_over_can_be_neither_changed_nor_cancelled(sim: Simulated) -> None:
    order_id = sim.place()

    with pytest.raises(KiteError, match="already complete"):
        sim.exchange.cancel("regular", order_id, sim.now)
    with pytest.raises(KiteError, match="already complete"):
        sim.exchange.modify("regular", order_id, {"price": "1"}, sim.now)
    with pytest.raises(KiteError, match="find"):
        sim.exchange.cancel("regular", "1", sim.now)


def test_the_close_cancels_what_still_rests(sim: Simulated) -> None:
    order_id = sim.place(price="1400")

    sim.exchange.close_market(sim.now)

    assert sim.order(order_id).status == "CANCELLED"
