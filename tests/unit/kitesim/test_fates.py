"""What faults do to an accepted order."""

import pytest

from alphapanda.domain.errors import InvalidValueError
from alphapanda.kitesim.calls import Call
from alphapanda.kitesim.errors import KiteError
from alphapanda.kitesim.faults import Fault, Faults
from alphapanda.kitesim.orders import Fate
from tests.unit.kitesim.simulated import USUAL, Simulated


@pytest.fixture
def sim() -> Simulated:
    made = Simulated()
    made.tick("1500")
    return made


def test_a_stuck_order_stays_received_and_cannot_be_cancelled_until_it_is_released(sim: Simulated) -> None:
    order_id = sim.place("regular", Fate(stuck=True))
    sim.tick("1490")
    assert sim.order(order_id).status == "PUT ORDER REQ RECEIVED"
    with pytest.raises(KiteError, match="being processed"):
        sim.exchange.cancel("regular", order_id, sim.now)

    assert sim.exchange.release(None, sim.now) == 1

    assert sim.order(order_id).status == "COMPLETE"


def test_a_stuck_order_may_come_loose_by_itself(sim: Simulated) -> None:
    order_id = sim.place("regular", Fate(stuck=True, stuck_s=60))
    sim.later(59)
    assert sim.order(order_id).status == "PUT ORDER REQ RECEIVED"

    sim.later(1)

    assert sim.order(order_id).status == "COMPLETE"


def test_a_hidden_order_trades_but_is_nowhere_to_be_seen(sim: Simulated) -> None:
    order_id = sim.place("regular", Fate(hidden=True))

    assert sim.order(order_id).status == "COMPLETE"
    assert not sim.order(order_id).is_visible(sim.now)
    assert sim.book.take_changes().events == []
    assert sim.exchange.release(order_id, sim.now) == 1
    assert sim.order(order_id).is_visible(sim.now)
    assert [event.status for event in sim.book.take_changes().events] == ["COMPLETE"]


def test_a_lagging_book_shows_the_order_after_its_seconds(sim: Simulated) -> None:
    order_id = sim.place("regular", Fate(lag_s=30), price="1400")

    assert not sim.order(order_id).is_visible(sim.now)
    with pytest.raises(KiteError, match="find"):
        sim.exchange.cancel("regular", order_id, sim.now)
    sim.later(30)
    assert sim.order(order_id).is_visible(sim.now)
    sim.exchange.cancel("regular", order_id, sim.now)


def test_the_exchange_may_reject_what_was_open(sim: Simulated) -> None:
    order_id = sim.place("regular", Fate(reject_after_s=0))
    sim.later(0)

    assert sim.path(order_id)[-2:] == ["OPEN", "REJECTED"]
    assert sim.order(order_id).filled_quantity == 0


def test_a_partial_fill_waits_for_its_release(sim: Simulated) -> None:
    order_id = sim.place("regular", Fate(fill_ratio=0.3))
    sim.tick("1400")
    assert (sim.order(order_id).status, sim.order(order_id).filled_quantity) == ("OPEN", 3)

    sim.exchange.release(order_id, sim.now)

    assert sim.order(order_id).status == "COMPLETE"


def test_a_cancelled_order_may_fill_late(sim: Simulated) -> None:
    order_id = sim.place("regular", Fate(late_fill_s=5), price="1400")
    sim.exchange.cancel("regular", order_id, sim.now)
    assert sim.order(order_id).status == "CANCELLED"

    sim.later(5)

    assert sim.path(order_id)[-3:] == ["CANCEL PENDING", "CANCELLED", "COMPLETE"]
    assert (sim.order(order_id).filled_quantity, sim.order(order_id).cancelled_quantity) == (10, 0)


def test_an_order_placed_later_was_checked_at_once(sim: Simulated) -> None:
    with pytest.raises(KiteError):
        sim.exchange.place_later("regular", {**USUAL, "quantity": "0"}, sim.now, 8)
    sim.exchange.place_later("regular", USUAL, sim.now, 8)
    assert not sim.book.orders

    sim.later(8)

    assert [order.tag for order in sim.book.orders.values()] == ["tag1"]


def test_a_fault_strikes_as_often_as_it_was_armed_for() -> None:
    faults = Faults(seed=1)
    armed = faults.arm("timeout-after", count=2, skip=1, tag="a")

    struck = [faults.reply(Call.PLACE, tag) is not None for tag in ("a", "b", "a", "a", "a")]

    assert struck == [False, False, True, True, False]
    assert armed.is_spent
    assert faults.struck == {Fault.TIMEOUT_AFTER: 2}


def test_a_fault_strikes_the_calls_it_was_armed_for() -> None:
    faults = Faults(seed=1)
    faults.arm(Fault.SERVER_ERROR, calls=[Call.ORDERS, "trades"], count=None)

    assert faults.reply(Call.PLACE, None) is None
    assert faults.reply(Call.ORDERS, None) is not None
    assert faults.reply(Call.TRADES, None) is not None
    faults.clear()
    assert faults.reply(Call.ORDERS, None) is None


def test_chance_repeats_with_its_seed() -> None:
    def struck(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.arm(Fault.RESET_AFTER, probability=0.4, count=None)
        return [faults.reply(Call.PLACE, None) is not None for _ in range(50)]

    assert struck(3) == struck(3)
    assert 5 < sum(struck(3)) < 40


@pytest.mark.parametrize(
    ("fault", "options", "said"),
    [
        ("nonsense", {}, "timeout-before"),
        ("stuck", {"calls": ["orders"]}, "place"),
        ("stuck", {"count": 0}, "count"),
        ("stuck", {"probability": 0}, "probability"),
        ("partial-fill", {"ratio": 2}, "ratio"),
        ("server-error", {"status": 200}, "status"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(fault: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidValueError, match=said):
        Faults(seed=1).arm(fault, **options)  # type: ignore[arg-type]
