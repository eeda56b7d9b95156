"""Kite's rate limits: enforced over rolling windows, counted whether enforced or not."""

import pytest
from kiteconnect.exceptions import NetworkException  # type: ignore[import-untyped]

from alphapanda.kitesim.calls import Call
from alphapanda.kitesim.errors import KiteError
from alphapanda.kitesim.limits import RateLimits, Window
from alphapanda.kitesim.server import KiteSim
from alphapanda.kitesim.settings import SimSettings
from tests.integration.kitesim.clients import Client


async def test_an_order_call_too_many_is_refused_with_429_and_counted() -> None:
    async with KiteSim(SimSettings(order_calls_per_minute=3)) as sim:
        client = Client.of(sim)
        order_id = await client.place(price=1400)
        await client.call("modify_order", "regular", order_id, price=1410)
        await client.call("cancel_order", "regular", order_id)

        with pytest.raises(NetworkException) as refused:
            await client.place(price=1400)

        assert refused.value.code == 429
        assert len(await client.call("orders")) == 1  # reads have limits of their own
        assert sim.state()["counters"]["peaks"]["orders_60s"] == 4


def test_each_kind_of_call_has_its_own_windows() -> None:
    limits = RateLimits(SimSettings())
    for _ in range(10):
        limits.admit(Call.PLACE, 100.0)
        limits.admit(Call.ORDERS, 100.0)
    limits.admit(Call.QUOTE, 100.0)

    for call in (Call.CANCEL, Call.TRADES, Call.QUOTE):
        with pytest.raises(KiteError) as refused:
            limits.admit(call, 100.9)
        assert refused.value.status == 429

    for call in (Call.CANCEL, Call.TRADES, Call.QUOTE):
        limits.admit(call, 101.0)


def test_a_minute_and_a_day_bound_the_orders_too() -> None:
    limits = RateLimits(SimSettings(order_calls_per_minute=15, order_calls_per_day=17))
    now = 0.0
    for _ in range(15):
        limits.admit(Call.MODIFY, now)
        now += 1
    with pytest.raises(KiteError):
        limits.admit(Call.MODIFY, now)
    limits.admit(Call.MODIFY, 60.0)
    limits.admit(Call.MODIFY, 61.0)
    with pytest.raises(KiteError):
        limits.admit(Call.MODIFY, 500.0)


def test_peaks_count_what_was_refused_or_not_limited() -> None:
    limits = RateLimits(SimSettings(enforce_limits=False))
    for index in range(30):
        limits.admit(Call.PLACE, index * 0.05)
    assert (limits.orders_second.peak, limits.orders_minute.peak) == (20, 30)


def test_a_window_forgets() -> None:
    window = Window(1.0)
    for moment in (0.0, 0.5, 1.0, 1.4):
        window.add(moment)
    assert window.count(1.4) == 3
    assert window.count(9.0) == 0
    assert window.peak == 3
