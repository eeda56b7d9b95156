"""The verdict finds what it is made to find: each test spoils one thing in books that agree."""

from decimal import Decimal

import pytest

from tests.unit.rehearsal.aftermaths import CANCELLED, FILLED, After, tag_of


@pytest.fixture
def after() -> After:
    return After()


def test_books_that_agree_pass(after: After) -> None:
    assert after.complaints() == {}
    assert after.judged().passed


def test_an_order_placed_twice_is_a_duplicate(after: After) -> None:
    twin = after.state["orders"][0] | {"order_id": "9", "placement": "9", "status": "REJECTED", "filled_quantity": 0}
    after.state["orders"].append(twin)
    assert after.complaints() == {"duplicates": (f"tag {tag_of(FILLED)}: 2 orders",)}
    assert not after.judged().passed


def test_slices_of_one_request_are_no_duplicates(after: After) -> None:
    first, rest = after.state["orders"][0], dict(after.state["orders"][0])
    first |= {"quantity": 6, "filled_quantity": 6}
    after.state["orders"].append(rest | {"order_id": "1b", "quantity": 4, "filled_quantity": 4})
    assert after.complaints() == {}


def test_an_order_replaced_by_another_that_trades_too_much_is_a_duplicate(after: After) -> None:
    first = after.state["orders"][0]
    successor = tag_of(FILLED)[:-1] + ("A" if tag_of(FILLED)[-1] != "A" else "B")
    after.state["orders"].append(first | {"order_id": "9", "placement": "9", "tag": successor})
    assert after.complaints()["duplicates"] == ("zerodha:storm-1: 20 traded, 10 wanted",)


def test_an_order_replaced_at_the_broker_that_nobody_planned_to_fails(after: After) -> None:
    first = after.state["orders"][1]
    successor = first["tag"][:-1] + ("A" if first["tag"][-1] != "A" else "B")
    after.state["orders"].append(first | {"order_id": "9", "placement": "9", "tag": successor, "filled_quantity": 0})
    assert set(after.complaints()) == {"replaced at the broker"}


def test_a_signal_without_an_order_is_lost(after: After) -> None:
    del after.orders[1]
    assert after.complaints()["lost"] == ("storm-2: no order of it is known",)


@pytest.mark.parametrize("state", ["OPEN", "UNKNOWN", "AWAITING_AUTH", "SUBMITTING", "FAILED"])
def test_an_order_that_came_to_no_end_is_lost(after: After, state: str) -> None:
    after.orders[1]["state"] = state
    assert after.complaints()["lost"] == (f"zerodha:storm-2: left {state} (as it happened)",)


def test_an_order_left_parked_is_not_resolved(after: After) -> None:
    after.orders[1]["state"] = "PARKED"
    assert after.complaints()["parked, and resolved"] == ("zerodha:storm-2: as it happened",)


def test_an_order_nobody_is_known_to_have_placed_is_unexplained(after: After) -> None:
    after.conduct.by_hand.clear()
    assert after.complaints() == {"unexplained": ("order 3 (tag None, by SIM001, COMPLETE)",)}


def test_a_tag_that_no_order_of_ours_has_is_unexplained(after: After) -> None:
    after.state["orders"][2]["tag"] = "A" * 20
    after.state["trades"].pop()
    after.fills.pop()
    complaints = after.complaints()
    assert complaints["unexplained"] == (f"order 3 (tag {'A' * 20}, by SIM001, COMPLETE)",)


def test_a_paisa_of_difference_in_one_trade_fails_trades_and_turnover(after: After) -> None:
    after.fills[0]["price"] = "1500.06"
    complaints = after.complaints()
    assert set(complaints) == {"trades booked", "turnover, rupees"}
    assert len(complaints["trades booked"]) == 1


def test_a_turnover_that_differs_by_a_paisa_fails(after: After) -> None:
    after.state["cash"]["flow"] = "-28496.89"
    assert after.complaints() == {"turnover, rupees": ()}


def test_a_trade_that_is_not_booked_is_named(after: After) -> None:
    del after.fills[1]
    [wrong] = after.complaints()["trades booked"]
    assert wrong.startswith("trade 2:101: not booked")


def test_a_booked_trade_that_never_was_is_named(after: After) -> None:
    after.fills.append(after.fills[0] | {"trade_id": "1:999"})
    assert after.complaints()["trades booked"] == ("trade 1:999: booked, and the broker never had it",)


def test_a_trade_booked_under_another_order_differs(after: After) -> None:
    after.fills[1]["order_id"] = f"zerodha:{FILLED}"
    [wrong] = after.complaints()["trades booked"]
    assert wrong.startswith("trade 2:101:")


def test_a_trade_of_ours_booked_as_external_differs(after: After) -> None:
    after.fills[1] |= {"order_id": None, "strategy_id": "EXTERNAL"}
    [wrong] = after.complaints()["trades booked"]
    assert wrong.startswith("trade 2:101:")


def test_a_fill_without_an_order_that_is_not_external_is_named(after: After) -> None:
    after.fills[2]["strategy_id"] = "storm"
    assert after.complaints()["trades booked"] == ("trade 3:102: EXTERNAL and an order's at once",)


def test_a_position_that_differs_is_named(after: After) -> None:
    after.positions[0]["quantity"] = 20
    assert after.complaints() == {"open positions": ("NSE:INFY:MIS: 20 here, 19 at the broker",)}


def test_a_closed_position_is_no_position(after: After) -> None:
    after.positions.append(after.positions[0] | {"tradingsymbol": "TCS", "quantity": 0})
    assert after.complaints() == {}


def test_an_order_that_works_on_at_the_broker_is_told_differently(after: After) -> None:
    after.state["orders"][1]["status"] = "OPEN"
    [wrong] = after.complaints()["orders told differently"]
    assert wrong == "zerodha:storm-2: CANCELLED here, still working at the broker (OPEN 4/10)"


def test_an_order_called_rejected_that_the_broker_took_is_told_differently(after: After) -> None:
    after.orders[1] |= {"state": "REJECTED"}
    assert after.complaints()["orders told differently"] == (
        "zerodha:storm-2: REJECTED here, CANCELLED 4/10 at the broker",
    )


def test_an_order_called_filled_that_the_broker_never_had_is_told_differently(after: After) -> None:
    del after.state["orders"][0]
    del after.state["trades"][0]
    assert after.complaints()["orders told differently"] == (
        "zerodha:storm-1: FILLED with 10 filled here, and the broker never had it",
    )


def test_a_fill_that_the_order_does_not_show_is_told_differently(after: After) -> None:
    after.orders[1]["filled_quantity"] = 3
    [wrong] = after.complaints()["orders told differently"]
    assert wrong == "zerodha:storm-2: 3 filled here, 4 at the broker (CANCELLED 4/10)"


@pytest.mark.parametrize(("peak", "value"), [("orders_1s", 11), ("orders_60s", 401), ("reads_1s", 11)])
def test_one_call_too_many_fails(after: After, peak: str, value: int) -> None:
    after.state["counters"]["peaks"][peak] = value
    assert set(after.complaints()) == {"most order calls in 1 s, 60 s; reads in 1 s"}


def test_an_order_sent_on_a_dead_session_fails(after: After) -> None:
    after.conduct.calls_on_dead_session = 1
    assert set(after.complaints()) == {"sent on a dead session"}


def test_a_signal_that_made_two_orders_is_named(after: After) -> None:
    after.conduct.orders_of[CANCELLED].add("zerodha:another")
    assert after.complaints() == {"signals accepted": ("storm-2: made 2 orders",)}


def test_a_signal_that_was_refused_is_named(after: After) -> None:
    after.conduct.refused[CANCELLED] = "422"
    assert after.complaints() == {"signals accepted": ("storm-2: refused, 422",)}


def test_drift_that_stands_fails(after: After) -> None:
    after.drift.append({"kind": "POSITION_QUANTITY", "detail": "19 and 20"})
    assert after.complaints() == {"drift that stands": ("POSITION_QUANTITY: 19 and 20",)}


def test_a_kill_that_did_not_happen_fails(after: After) -> None:
    after.conduct.kills = 0
    assert set(after.complaints()) == {"worker killed"}


def test_a_fault_that_never_struck_fails(after: After) -> None:
    after.state["counters"]["faults"] = {}
    assert after.complaints() == {"faults that struck": ("reset-after never struck",)}


def test_what_did_not_come_to_rest_fails(after: After) -> None:
    after.conduct.unsettled.append("zerodha:storm-2 is OPEN")
    assert after.complaints() == {"came to rest": ("zerodha:storm-2 is OPEN",)}


def test_prices_are_compared_as_numbers_not_as_text(after: After) -> None:
    after.state["trades"][2]["average_price"] = Decimal("1500.0000")
    assert after.complaints() == {}
