"""Each fault shows Zerodha's client exactly what the real thing shows it, and the book tells what really happened."""

from typing import Any

import httpx
import pytest
import requests
from kiteconnect.exceptions import (  # type: ignore[import-untyped]
    DataException,
    GeneralException,
    InputException,
    NetworkException,
    OrderException,
    PermissionException,
    TokenException,
)

from alphapanda.kitesim.faults import REPLY_FAULTS, Fault
from alphapanda.kitesim.server import KiteSim
from tests.integration.kitesim.clients import Client, until

# fault, its options, what Kite's client raises, the exception's code, orders that exist afterwards
OUTCOMES: list[tuple[Fault, dict[str, Any], type[BaseException], int | None, int]] = [
    (Fault.TIMEOUT_BEFORE, {}, requests.exceptions.ReadTimeout, None, 0),
    (Fault.TIMEOUT_AFTER, {}, requests.exceptions.ReadTimeout, None, 1),
    (Fault.RESET_BEFORE, {}, requests.exceptions.ConnectionError, None, 0),
    (Fault.RESET_AFTER, {}, requests.exceptions.ConnectionError, None, 1),
    (Fault.SERVER_ERROR, {}, GeneralException, 500, 1),
    (Fault.SERVER_ERROR, {"status": 503, "accepted": False}, NetworkException, 503, 0),
    (Fault.SERVER_ERROR, {"status": 502}, DataException, 502, 1),
    (Fault.HTML_502, {}, DataException, 502, 1),
    (Fault.HTML_504, {"accepted": False}, DataException, 502, 0),
    (Fault.MALFORMED_JSON, {}, DataException, 502, 1),
    (Fault.NO_DATA, {}, KeyError, None, 1),
    (Fault.NO_ERROR_TYPE, {}, TypeError, None, 1),
    (Fault.NO_CONTENT_TYPE, {}, KeyError, None, 1),
    (Fault.TIMED_OUT_400, {"seconds": 0.2}, OrderException, 400, 1),
    (Fault.REDIRECT, {}, GeneralException, 405, 1),
    (Fault.TOKEN_EXPIRY, {}, TokenException, 403, 0),
    (Fault.IP_NOT_ALLOWED, {}, PermissionException, 403, 0),
    (Fault.TOO_MANY_REQUESTS, {}, NetworkException, 429, 0),
    (Fault.REJECT_MARGIN, {}, GeneralException, 400, 0),
    (Fault.REJECT_HOLDING, {}, GeneralException, 400, 0),
    (Fault.REJECT_USER, {}, GeneralException, 400, 0),
    (Fault.REJECT_ORDER, {}, OrderException, 400, 0),
    (Fault.REJECT_INPUT, {}, InputException, 400, 0),
]


@pytest.mark.parametrize(("fault", "options", "raised", "code", "orders"), OUTCOMES)
async def test_a_spoilt_placement(
    sim: KiteSim, fault: Fault, options: dict[str, Any], raised: type[BaseException], code: int | None, orders: int
) -> None:
    client = Client.of(sim, timeout=0.5)
    sim.faults.arm(fault, **options)

    with pytest.raises(raised) as seen:
        await client.place(tag="t")

    assert type(seen.value) is raised
    assert getattr(seen.value, "code", None) == code
    await until(lambda: not sim.account.book.jobs, "nothing is due any more")
    assert len(sim.account.book.orders) == orders
    assert sim.state()["counters"]["faults"] == {fault: 1}
    if fault is not Fault.TOKEN_EXPIRY:
        await client.place(tag="t")  # the fault is spent
        assert len(sim.account.book.orders) == orders + 1


def test_every_fault_of_a_reply_is_in_the_table() -> None:
    assert {fault for fault, *_ in OUTCOMES} == REPLY_FAULTS


@pytest.mark.parametrize("fault", [Fault.TIMEOUT_AFTER, Fault.RESET_AFTER, Fault.HTML_504])
async def test_a_cancel_may_be_spoilt_too(sim: KiteSim, fault: Fault) -> None:
    client = Client.of(sim, timeout=0.5)
    order_id = await client.place(price=1400, tag="mine")
    sim.faults.arm(fault, calls=["cancel", "modify"], tag="mine")

    with pytest.raises((requests.exceptions.RequestException, DataException)):
        await client.call("cancel_order", "regular", order_id)

    assert (await client.order(order_id))["status"] == "CANCELLED"


async def test_reads_of_the_book_may_fail(sim: KiteSim, client: Client) -> None:
    await client.place()
    sim.faults.arm("server-error", calls=["orders", "trades", "positions"], count=3, status=503)

    for read in ("orders", "trades", "positions"):
        with pytest.raises(NetworkException):
            await client.call(read)

    assert len(await client.call("orders")) == 1


async def test_a_lagging_book_and_an_order_hidden_until_released(sim: KiteSim, client: Client) -> None:
    sim.faults.arm("book-lag", seconds=0.3)
    lagging = await client.place()
    sim.faults.arm("hidden")
    hidden = await client.place()
    assert await client.call("orders") == []
    assert await client.call("trades") == []

    await until(lambda: sim.account.book.orders[lagging].is_visible(sim.account.now()), "the book has caught up")
    assert [row["order_id"] for row in await client.call("orders")] == [lagging]
    with pytest.raises(OrderException):
        await client.call("order_history", hidden)
    sim.release(hidden)

    assert {row["order_id"] for row in await client.call("orders")} == {lagging, hidden}


async def test_faults_of_fate_and_reply_may_meet(sim: KiteSim) -> None:
    client = Client.of(sim, timeout=0.5)
    sim.faults.arm("stuck")
    sim.faults.arm("timeout-after")

    with pytest.raises(requests.exceptions.ReadTimeout):
        await client.place(tag="stuck")

    (row,) = await client.call("orders")
    assert row["status"] == "PUT ORDER REQ RECEIVED"
    sim.release()
    (row,) = await client.call("orders")
    assert row["status"] == "COMPLETE"


async def test_rejection_by_the_exchange_and_a_late_fill_happen_by_themselves(sim: KiteSim, client: Client) -> None:
    sim.faults.arm("exchange-reject")
    rejected = await client.place()
    sim.faults.arm("late-fill", seconds=0.1)
    cancelled = await client.place(price=1400)
    await client.call("cancel_order", "regular", cancelled)

    await until(lambda: not sim.account.book.jobs, "nothing is due any more")

    assert (await client.order(rejected))["status"] == "REJECTED"
    late = await client.order(cancelled)
    assert (late["status"], late["filled_quantity"], late["average_price"]) == ("COMPLETE", 10, 1400)


async def test_the_account_trades_without_the_desk(sim: KiteSim, client: Client) -> None:
    await client.place(tag="ours")
    manual = sim.external_trade("NSE", "INFY", "BUY", 5)

    squared = sim.square_off(product="MIS")

    assert (await client.order(manual))["tag"] is None
    (order_id,) = squared
    row = await client.order(order_id)
    assert (row["placed_by"], row["transaction_type"], row["filled_quantity"]) == ("RMS", "SELL", 15)
    assert [position["quantity"] for position in (await client.call("positions"))["net"]] == [0]
    assert sim.state()["counters"]["accepted"] == 1


async def test_the_control_plane_does_all_of_it_over_http(sim: KiteSim, client: Client) -> None:
    async with httpx.AsyncClient(base_url=sim.url) as http:

        async def post(path: str, **body: Any) -> Any:
            answer = await http.post(f"/sim/{path}", json=body)
            assert answer.status_code == 200, answer.text
            return answer.json()

        await post("price", exchange="NSE", tradingsymbol="INFY", ltp=1510.5, volume=4)
        assert (await client.call("ltp", "NSE:INFY"))["NSE:INFY"]["last_price"] == 1510.5
        await post("faults", fault="stuck", count=2)
        assert (await http.get("/sim/faults")).json()["armed"][0]["fault"] == "stuck"
        await client.place(price=1520)
        assert (await post("release")) == {"released": 1}
        assert (await client.call("orders"))[0]["filled_quantity"] == 4
        await http.delete("/sim/faults")
        assert (await http.get("/sim/faults")).json()["armed"] == []
        await post("external-trade", exchange="NSE", tradingsymbol="TCS", transaction_type="BUY", quantity=3)
        assert len((await post("square-off"))["order_ids"]) == 2
        assert (await post("market", open=False)) == {"open": False}
        await post("market", open=True)
        await post("session/expire")
        with pytest.raises(TokenException):
            await client.call("orders")
        for path, body in (("price", {"exchange": "NSE"}), ("faults", {"fault": "no"}), ("faults", {"bad": 1})):
            refused = await http.post(f"/sim/{path}", json=body)
            assert refused.status_code == 400
            assert refused.json()["error"]
        assert (await http.get("/sim/nowhere")).status_code == 404
