"""Zerodha's own client trades with the simulator as with the broker."""

from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from kiteconnect import KiteConnect  # type: ignore[import-untyped]
from kiteconnect.exceptions import (  # type: ignore[import-untyped]
    GeneralException,
    InputException,
    NetworkException,
    OrderException,
    TokenException,
)

from alphapanda.kitesim.server import KiteSim
from alphapanda.kitesim.settings import SimSettings
from tests.integration.kitesim.clients import Client, until


async def test_an_order_goes_from_the_request_to_position_trades_and_funds(sim: KiteSim, client: Client) -> None:
    order_id = await client.place(tag="one")

    row = await client.order(order_id)
    assert (row["status"], row["filled_quantity"], row["average_price"], row["tag"]) == ("COMPLETE", 10, 1500, "one")
    assert len(order_id) == 19
    assert isinstance(row["order_timestamp"], datetime)
    assert row["order_timestamp"].tzinfo is None
    history = await client.call("order_history", order_id)
    assert [each["status"] for each in history][-1] == "COMPLETE"
    (trade,) = await client.call("order_trades", order_id)
    assert (trade["quantity"], trade["average_price"]) == (10, 1500)
    assert len(trade["order_timestamp"]) == len("12:00:00")
    assert await client.call("trades") == [trade]
    (position,) = (await client.call("positions"))["net"]
    assert (position["quantity"], position["average_price"]) == (10, 1500)
    margins = await client.call("margins")
    assert margins["equity"]["net"] == float(sim.state()["cash"]["available"])
    assert await client.call("margins", "equity") == margins["equity"]


async def test_modify_and_cancel(client: Client) -> None:
    order_id = await client.place(price=1400)
    assert (await client.order(order_id))["status"] == "OPEN"

    assert await client.call("modify_order", "regular", order_id, price=1410, quantity=20) == order_id
    row = await client.order(order_id)
    assert (row["price"], row["quantity"], row["modified"]) == (1410, 20, True)
    assert await client.call("cancel_order", "regular", order_id) == order_id

    row = await client.order(order_id)
    assert (row["status"], row["cancelled_quantity"], row["pending_quantity"]) == ("CANCELLED", 20, 20)
    with pytest.raises(OrderException):
        await client.call("cancel_order", "regular", order_id)


async def test_refusals_are_the_exceptions_of_kites_client(client: Client) -> None:
    with pytest.raises(InputException):
        await client.place(tag="x" * 21)
    with pytest.raises(InputException, match="protection"):
        await client.place(order_type="MARKET", price=None)
    with pytest.raises(GeneralException, match="Insufficient funds"):
        await client.place(quantity=99_000, product="CNC")
    with pytest.raises(GeneralException, match="Insufficient holdings"):
        await client.place(transaction_type="SELL", product="CNC")
    order_id = await client.place(price=1400)
    for step in range(25):
        await client.call("modify_order", "regular", order_id, price=1401 + step)
    with pytest.raises(NetworkException, match=r"Maximum allowed order modifications exceeded\."):
        await client.call("modify_order", "regular", order_id, price=1390)


async def test_a_sliced_order_answers_with_its_children(sim: KiteSim, client: Client) -> None:
    dump = await client.call("instruments", "NFO")
    future = next(each for each in dump if each["instrument_type"] == "FUT")
    sim.faults.arm("slice-failure")

    reply = await client.call(
        "place_autoslice_order", "regular", "NFO", future["tradingsymbol"], "BUY", 3675, "NRML", "LIMIT",
        price=24000, tag="sliced",
    )  # fmt: skip

    first, second, third = reply["children"]
    assert set(second) == {"error"}
    assert set(second["error"]) == {"code", "error_type", "message", "data"}
    rows = [await client.order(child["order_id"]) for child in (first, third)]
    assert all("sliced" in row["tags"] and f"autoslice:{reply['order_id']}" in row["tags"] for row in rows)
    assert sim.state()["counters"]["placements"] == {"sliced": 1}


async def test_amo_and_iceberg_have_their_own_varieties(sim: KiteSim, client: Client) -> None:
    leg = await client.place(variety="iceberg", quantity=25, iceberg_legs=3, iceberg_quantity=10, price=1400)
    assert (await client.order(leg))["meta"]["iceberg"] == {
        "leg": 1, "legs": 3, "leg_quantity": 10, "total_quantity": 25, "remaining_quantity": 15,
    }  # fmt: skip
    sim.close_market()
    amo = await client.place(variety="amo", price=1400)
    assert (await client.order(amo))["status"] == "AMO REQ RECEIVED"
    sim.open_market()
    with pytest.raises(OrderException):
        await client.call("cancel_order", "amo", amo)
    await client.call("cancel_order", "regular", amo)


async def test_the_order_book_is_not_sorted(client: Client) -> None:
    placed = [await client.place() for _ in range(12)]

    shown = [row["order_id"] for row in await client.call("orders")]

    assert sorted(shown) == placed
    assert shown != placed


async def test_a_login_by_the_page_opens_a_session_once() -> None:
    settings = SimSettings(redirect_url="http://127.0.0.1:1/back?kept=1")
    async with KiteSim(settings) as sim, httpx.AsyncClient() as browser:
        answer = await browser.get(sim.login_url + "&redirect_params=state%3Dabc%26x%3D1")
        assert answer.status_code == 302
        where = urlsplit(answer.headers["location"])
        given = {name: values[0] for name, values in parse_qs(where.query).items()}
        assert where.path == "/back"
        assert given.items() >= {"kept": "1", "state": "abc", "x": "1", "status": "success", "action": "login"}.items()
        client = Client(KiteConnect(settings.api_key, root=sim.url))

        with pytest.raises(TokenException, match="checksum"):
            await client.call("generate_session", given["request_token"], "wrong")
        session = await client.call("generate_session", given["request_token"], settings.api_secret)

        assert session["user_id"] == settings.user_id
        assert isinstance(session["login_time"], datetime)
        assert await client.call("orders") == []
        with pytest.raises(TokenException):
            await client.call("generate_session", given["request_token"], settings.api_secret)


async def test_without_an_address_the_login_page_shows_the_request_token(sim: KiteSim) -> None:
    async with httpx.AsyncClient() as browser:
        page = (await browser.get(sim.login_url)).text
        refused = await browser.get(sim.url + "/connect/login?api_key=other")
    assert "request_token: " in page
    assert refused.status_code == 400


async def test_only_the_newest_session_lives(sim: KiteSim, client: Client) -> None:
    second = Client.of(sim)

    with pytest.raises(TokenException) as dead:
        await client.call("orders")
    assert dead.value.code == 403
    assert await second.call("orders") == []
    await second.call("invalidate_access_token")
    with pytest.raises(TokenException):
        await second.call("orders")


async def test_an_expired_request_token_opens_nothing() -> None:
    async with KiteSim(SimSettings(request_token_s=1e-9)) as sim:
        client = Client(KiteConnect(sim.settings.api_key, root=sim.url))
        with pytest.raises(TokenException, match="expired"):
            await client.call("generate_session", sim.login(), sim.settings.api_secret)


async def test_market_data_names_what_was_asked_for(client: Client) -> None:
    assert (await client.call("ltp", "NSE:INFY"))["NSE:INFY"]["last_price"] == 1500
    assert (await client.call("ohlc", ["NSE:INFY", "NSE:NOSUCH"])).keys() == {"NSE:INFY"}
    quote = (await client.call("quote", "NSE:INFY"))["NSE:INFY"]
    assert quote["depth"]["buy"][0]["price"] == 1500
    assert isinstance(quote["timestamp"], datetime)
    with pytest.raises(InputException):
        await client.call("quote")


async def test_margins_and_contract_notes_are_computed(client: Client) -> None:
    order: dict[str, Any] = {
        "exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "variety": "regular", "product": "MIS",
        "order_type": "LIMIT", "quantity": 10, "price": 1500,
    }  # fmt: skip
    (margin,) = await client.call("order_margins", [order])
    assert margin["total"] == 3000
    (note,) = await client.call("get_virtual_contract_note", [order | {"average_price": 1500, "order_id": "1"}])
    assert note["charges"]["total"] > 0


async def test_the_book_survives_a_restart(tmp_path: Any) -> None:
    settings = SimSettings(state_file=tmp_path / "book.sqlite", enforce_limits=False)
    async with KiteSim(settings) as sim:
        await sim.set_price("NSE", "INFY", 1500)
        client = Client.of(sim)
        done, resting = await client.place(tag="done"), await client.place(price=1400, tag="resting")
        sim.faults.arm("timed-out-400", seconds=0.3)
        with pytest.raises(OrderException, match="timed out"):
            await client.place(tag="late")
        before, token = sim.state(), client.kite.access_token

    async with KiteSim(settings) as sim:
        client = Client.of(sim, access_token=token)
        after = sim.state()
        assert after["trades"] == before["trades"]
        assert after["cash"]["flow"] == before["cash"]["flow"]
        assert (await client.order(done))["status"] == "COMPLETE"
        assert [row["status"] for row in await client.call("order_history", resting)][-1] == "OPEN"
        await sim.set_price("NSE", "INFY", 1400)
        assert (await client.order(resting))["status"] == "COMPLETE"
        third = await client.place()
        assert int(third) > int(resting)
        trades = await client.call("trades")
        assert len({trade["trade_id"] for trade in trades}) == len(trades)
        await until(lambda: "late" in sim.state()["counters"]["placements"], "what was due is still done")


async def test_a_truth_for_verdicts(sim: KiteSim, client: Client) -> None:
    await client.place(tag="twice")
    await client.place(tag="twice")
    sim.faults.arm("hidden")
    hidden = await client.place(tag="once")

    async with httpx.AsyncClient() as anyone:
        truth = (await anyone.get(sim.url + "/sim/state")).json()

    assert truth["counters"]["placements"] == {"twice": 2, "once": 1}
    assert truth["counters"]["duplicates"] == {"twice": 2}
    assert truth["counters"]["accepted"] == 3
    assert [row["order_id"] for row in truth["orders"] if not row["visible"]] == [hidden]
    assert hidden not in [row["order_id"] for row in await client.call("orders")]
    assert truth["cash"]["flow"] == "-45000"
    assert client.kite.access_token not in str(truth)
