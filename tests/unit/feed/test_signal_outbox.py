"""The outbox: order per instrument, bounded concurrency, and no signal that disappears."""

import asyncio
from datetime import UTC, datetime

import pytest

from alphapanda.domain.errors import InvalidValueError
from alphapanda.domain.ids import Broker, SignalId, StrategyId
from alphapanda.domain.signal import Signal
from alphapanda.domain.vocabulary import Exchange, OrderType, Product, Side
from alphapanda.feed.outbox import SignalOutbox


def signal(number: int, symbol: str = "INFY") -> Signal:
    return Signal(
        signal_id=SignalId(f"s{number}"),
        strategy_id=StrategyId("test"),
        brokers=(Broker("paper"),),
        exchange=Exchange.NSE,
        tradingsymbol=symbol,
        side=Side.BUY,
        quantity=1,
        order_type=OrderType.MARKET,
        product=Product.MIS,
        generated_at=datetime(2025, 10, 9, tzinfo=UTC),
    )


class Desk:
    """Takes signals while `open`, failing `failures` times first; records what arrived and how much at once."""

    def __init__(self, failures: int = 0, error: Exception | None = None) -> None:
        self.failures = failures
        self.error = error or ConnectionError("no desk")
        self.arrived: list[str] = []
        self.at_once = self.most_at_once = 0
        self.open = asyncio.Event()
        self.open.set()

    async def take(self, one: Signal) -> None:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.open.wait()
            await asyncio.sleep(0)
            if self.failures:
                self.failures -= 1
                raise self.error
            self.arrived.append(one.signal_id)
        finally:
            self.at_once -= 1


async def test_signals_of_one_instrument_arrive_one_after_another_and_in_order() -> None:
    desk = Desk(failures=2)
    outbox = SignalOutbox(desk.take, first_pause_s=0.001)
    for number in range(20):
        outbox.put(signal(number))
    await outbox.flush()
    assert desk.arrived == [f"s{number}" for number in range(20)]
    assert desk.most_at_once == 1
    assert (outbox.delivered, outbox.retried, outbox.pending, outbox.undelivered) == (20, 2, 0, 0)


async def test_no_more_than_the_bound_are_under_way_at_once() -> None:
    desk = Desk()
    outbox = SignalOutbox(desk.take, in_flight=4)
    for number in range(50):
        outbox.put(signal(number, f"S{number}"))
    await outbox.flush()
    assert len(desk.arrived) == 50
    assert desk.most_at_once == 4


async def test_a_failing_instrument_does_not_hold_up_the_others() -> None:
    refused = asyncio.Event()

    async def take(one: Signal) -> None:
        if one.tradingsymbol == "INFY":
            refused.set()
            raise ConnectionError("no desk")

    outbox = SignalOutbox(take, in_flight=1, first_pause_s=60.0, give_up_after_s=120.0)
    outbox.put(signal(1, "INFY"))
    await refused.wait()
    outbox.put(signal(2, "SBIN"))
    async with asyncio.timeout(10):
        while outbox.delivered < 1:
            await asyncio.sleep(0)
    assert outbox.pending == 1
    await outbox.close(grace_s=0)


async def test_a_signal_that_cannot_be_delivered_is_given_up_and_counted() -> None:
    desk = Desk(failures=10_000)
    outbox = SignalOutbox(desk.take, first_pause_s=0.001, longest_pause_s=0.001, give_up_after_s=0.02)
    outbox.put(signal(1))
    await outbox.flush()
    assert outbox.undelivered == 1
    assert outbox.retried >= 1
    assert outbox.pending == 0


async def test_a_desk_that_never_answers_is_tried_again() -> None:
    desk = Desk()
    desk.open.clear()
    outbox = SignalOutbox(desk.take, emit_timeout_s=0.01, first_pause_s=0.001)
    outbox.put(signal(1))
    async with asyncio.timeout(10):
        while not outbox.retried:
            await asyncio.sleep(0.001)
    desk.open.set()
    await outbox.flush()
    assert desk.arrived == ["s1"]


async def test_a_signal_refused_as_invalid_is_not_tried_again() -> None:
    desk = Desk(failures=1, error=InvalidValueError("quantity: too much"))
    outbox = SignalOutbox(desk.take)
    outbox.put(signal(1))
    outbox.put(signal(2))
    await outbox.flush()
    assert (outbox.retried, outbox.undelivered, desk.arrived) == (0, 1, ["s2"])


async def test_room_waits_while_the_outbox_is_full() -> None:
    desk = Desk()
    desk.open.clear()
    outbox = SignalOutbox(desk.take, capacity=2)
    outbox.put(signal(1))
    await outbox.room()
    outbox.put(signal(2))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await outbox.room()
    desk.open.set()
    async with asyncio.timeout(10):
        await outbox.room()
    await outbox.flush()


async def test_closing_counts_what_is_left_and_leaves_no_task() -> None:
    desk = Desk()
    desk.open.clear()
    before = asyncio.all_tasks()
    outbox = SignalOutbox(desk.take)
    for number in range(6):
        outbox.put(signal(number, f"S{number % 2}"))
    await outbox.close(grace_s=0.01)
    assert (outbox.undelivered, outbox.pending) == (6, 0)
    assert asyncio.all_tasks() == before
