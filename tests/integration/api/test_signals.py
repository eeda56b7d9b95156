"""Handing in signals over HTTP: once each, exactly, and on to a real order."""

import asyncio
import time
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.rehearsal import Rehearsal

MARKET: dict[str, Any] = {
    "strategy_id": "manual",
    "brokers": ["paper"],
    "exchange": "NSE",
    "tradingsymbol": "INFY",
    "side": "BUY",
    "quantity": 10,
    "order_type": "MARKET",
    "product": "CNC",
}
LIMIT = {**MARKET, "order_type": "LIMIT", "price": "1450.05"}


async def hand_in(api: httpx.AsyncClient, status: int = 202, **terms: Any) -> dict[str, Any]:
    answer = await api.post("/api/v1/signals", json={**MARKET, "signal_id": uuid4().hex, **terms})
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def until(api: httpx.AsyncClient, order_id: str, *states: str) -> dict[str, Any]:
    """The order once it is in one of the states; asked over HTTP."""
    deadline = time.monotonic() + 30
    while True:
        order: dict[str, Any] = (await api.get(f"/api/v1/orders/{order_id}")).json()
        if order["state"] in states:
            return order
        assert time.monotonic() < deadline, order
        await asyncio.sleep(0.05)


async def test_a_signal_becomes_an_order_that_fills(rehearsal: Rehearsal, api: httpx.AsyncClient) -> None:
    accepted = await hand_in(api, metadata={"why": "test", "levels": [1, 2.5]})
    (order,) = accepted["orders"]
    assert accepted["created"] is True
    assert order["workflow_id"] == f"order:paper:{accepted['signal_id']}"
    filled = await until(api, order["order_id"], "FILLED")
    assert filled["filled_quantity"] == 10
    assert filled["tag"]
    events = (await api.get(f"/api/v1/orders/{order['order_id']}/events")).json()["items"]
    assert [events[0]["to_state"], events[-1]["to_state"]] == ["RECEIVED", "FILLED"]
    fills = (await api.get(f"/api/v1/fills?order_id={order['order_id']}")).json()["items"]
    assert sum(fill["quantity"] for fill in fills) == 10
    (position,) = (await api.get("/api/v1/positions")).json()["items"]
    assert position["quantity"] == 10
    signal = (await api.get(f"/api/v1/signals/{accepted['signal_id']}")).json()
    assert signal["metadata"] == {"why": "test", "levels": [1, 2.5]}
    assert signal["orders"][0]["state"] == "FILLED"


async def test_the_requests_correlation_id_reaches_every_event(rehearsal: Rehearsal, api: httpx.AsyncClient) -> None:
    body = {**MARKET, "signal_id": "traced"}
    await api.post("/api/v1/signals", json=body, headers={"X-Correlation-ID": "trace-me"})
    await until(api, "paper:traced", "FILLED")
    events = (await api.get("/api/v1/orders/paper:traced/events")).json()["items"]
    assert {event["correlation_id"] for event in events} == {"trace-me"}


async def test_the_same_signal_again_is_200_with_the_same_order(rehearsal: Rehearsal, api: httpx.AsyncClient) -> None:
    first = await hand_in(api, signal_id="again")
    second = await hand_in(api, 200, signal_id="again")
    assert second["created"] is False
    assert [order["order_id"] for order in second["orders"]] == [order["order_id"] for order in first["orders"]]


async def test_the_same_signal_fifty_times_at_once_makes_one_order(
    rehearsal: Rehearsal, api: httpx.AsyncClient
) -> None:
    body = {**MARKET, "signal_id": "many"}
    answers = await asyncio.gather(*(api.post("/api/v1/signals", json=body) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] * 49 + [202]
    await until(api, "paper:many", "FILLED")
    assert len((await api.get("/api/v1/orders")).json()["items"]) == 1
    assert len(await rehearsal.broker.orders()) == 1


async def test_the_same_id_with_other_content_is_a_conflict(rehearsal: Rehearsal, api: httpx.AsyncClient) -> None:
    await hand_in(api, signal_id="clash")
    answer = await hand_in(api, 409, signal_id="clash", quantity=11)
    assert answer["code"] == "SIGNAL_ID_CONFLICT"


async def test_a_price_written_in_two_ways_is_the_same_content(rehearsal: Rehearsal, api: httpx.AsyncClient) -> None:
    await hand_in(api, signal_id="same", **{**LIMIT, "price": "1450.50"})
    await hand_in(api, 200, signal_id="same", **{**LIMIT, "price": 1450.5})


@pytest.mark.parametrize("price", ['"1450.05"', "1450.05", "1450", '"1450.00"', "1.45005e3"])
async def test_prices_come_as_strings_or_numbers_and_stay_exact(
    rehearsal: Rehearsal, api: httpx.AsyncClient, price: str
) -> None:
    name = uuid4().hex
    body = (
        f'{{"signal_id": "{name}", "strategy_id": "manual", "brokers": ["paper"], "exchange": "NSE", '
        f'"tradingsymbol": "INFY", "side": "BUY", "quantity": 10, "order_type": "LIMIT", "product": "CNC", '
        f'"price": {price}}}'
    )
    answer = await api.post("/api/v1/signals", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 202, answer.text
    shown = (await api.get(f"/api/v1/signals/{name}")).json()["price"]
    assert Decimal(shown) == Decimal(price.strip('"'))


async def test_an_idempotency_key_stands_in_for_a_signal_id(rehearsal: Rehearsal, api: httpx.AsyncClient) -> None:
    headers = {"Idempotency-Key": "order-1"}
    first = await api.post("/api/v1/signals", json=MARKET, headers=headers)
    second = await api.post("/api/v1/signals", json=MARKET, headers=headers)
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json()["signal_id"] == second.json()["signal_id"]
    other = await api.post("/api/v1/signals", json={**MARKET, "quantity": 11}, headers=headers)
    assert other.status_code == 409


async def test_an_idempotency_key_that_differs_from_the_signal_id_is_refused(
    rehearsal: Rehearsal, api: httpx.AsyncClient
) -> None:
    headers = {"Idempotency-Key": "order-2"}
    refused = await api.post("/api/v1/signals", json={**MARKET, "signal_id": "order-3"}, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (422, "INPUT_INVALID")
    assert "Idempotency-Key" in refused.json()["detail"]
    same = await api.post("/api/v1/signals", json={**MARKET, "signal_id": "order-2"}, headers=headers)
    assert (same.status_code, same.json()["signal_id"]) == (202, "order-2")


async def test_an_iceberg_is_handed_in_with_its_legs(rehearsal: Rehearsal, api: httpx.AsyncClient) -> None:
    legs = {"variety": "iceberg", "iceberg_legs": 2}
    accepted = await api.post("/api/v1/signals", json={**MARKET, **legs, "signal_id": "berg"})
    assert accepted.status_code == 202, accepted.text
    shown = (await api.get("/api/v1/orders/paper:berg")).json()
    assert (shown["variety"], shown["iceberg_legs"]) == ("iceberg", 2)
    refused = await api.post("/api/v1/signals", json={**MARKET, "iceberg_legs": 2})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "iceberg_legs")


async def test_without_id_and_key_every_signal_is_a_new_one(rehearsal: Rehearsal, api: httpx.AsyncClient) -> None:
    names = {(await api.post("/api/v1/signals", json=MARKET)).json()["signal_id"] for _ in range(2)}
    assert len(names) == 2


@pytest.mark.parametrize("expires_in", [60, 0.5, "PT5M", "PT90S"])
async def test_expires_in_is_seconds_or_a_duration(
    rehearsal: Rehearsal, api: httpx.AsyncClient, expires_in: object
) -> None:
    accepted = await hand_in(api, expires_in=expires_in)
    signal = (await api.get(f"/api/v1/signals/{accepted['signal_id']}")).json()
    assert signal["expires_at"] > signal["generated_at"]


@pytest.mark.parametrize(
    ("terms", "field"),
    [
        ({"quantity": 0}, "quantity"),
        ({"quantity": -5}, "quantity"),
        ({"quantity": 1.5}, "quantity"),
        ({"quantity": "10"}, "quantity"),
        ({"quantity": True}, "quantity"),
        ({"side": "HOLD"}, "side"),
        ({"exchange": "NYSE"}, "exchange"),
        ({"order_type": "LIMIT"}, "price"),
        ({"price": "1450.05"}, "price"),
        ({**LIMIT, "price": "abc"}, "price"),
        ({**LIMIT, "price": "NaN"}, "price"),
        ({**LIMIT, "price": "0"}, "price"),
        ({**LIMIT, "price": "-1"}, "price"),
        ({**LIMIT, "price": "1450.00001"}, "price"),
        ({**LIMIT, "price": True}, "price"),
        ({**LIMIT, "price": [1]}, "price"),
        ({**LIMIT, "price": "1e400"}, "price"),
        ({"order_type": "SL-M"}, "trigger_price"),
        ({"validity": "TTL"}, "validity_minutes"),
        ({"brokers": []}, "brokers"),
        ({"brokers": ["paper", "paper"]}, "brokers"),
        ({"brokers": ["PAPER!"]}, "brokers.0"),
        ({"signal_id": "has space"}, "signal_id"),
        ({"signal_id": ""}, "signal_id"),
        ({"strategy_id": "\x00"}, "strategy_id"),
        ({"tradingsymbol": ""}, "tradingsymbol"),
        ({"expires_in": 0}, "expires_in"),
        ({"expires_in": -1}, "expires_in"),
        ({"expires_in": "soon"}, "expires_in"),
        ({"expires_in": 1e12}, "expires_in"),
        ({"metadata": {"a": "\x00"}}, "metadata"),
        ({"metadata": {"a": 10**30}}, "metadata"),
        ({"metadata": {"a": "x" * 20_000}}, "metadata"),
        ({"metadata": [1]}, "metadata"),
        ({"wait_for_open": "perhaps"}, "wait_for_open"),
        ({"colour": "red"}, "colour"),
    ],
)
async def test_bad_input_is_422_and_names_the_field(
    shared_api: httpx.AsyncClient, terms: dict[str, Any], field: str
) -> None:
    answer = await hand_in(shared_api, 422, **terms)
    assert answer["code"] == "INPUT_INVALID"
    assert field in [error["field"] for error in answer["errors"]]
    assert field in answer["detail"]


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "1e999"])
async def test_numbers_that_are_none_are_refused(shared_api: httpx.AsyncClient, literal: str) -> None:
    body = '{"strategy_id": "m", "brokers": ["paper"], "exchange": "NSE", "tradingsymbol": "INFY", "side": "BUY", '
    body += f'"quantity": 1, "order_type": "LIMIT", "product": "CNC", "price": {literal}}}'
    answer = await shared_api.post("/api/v1/signals", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text


async def test_a_lone_surrogate_is_refused(shared_api: httpx.AsyncClient) -> None:
    body = '{"strategy_id": "m", "brokers": ["paper"], "exchange": "NSE", "tradingsymbol": "INFY", "side": "BUY", '
    body += '"quantity": 1, "order_type": "MARKET", "product": "CNC", "metadata": {"a": "\\ud800"}}'
    answer = await shared_api.post("/api/v1/signals", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text


async def test_an_inactive_broker_in_a_signal_is_404_and_nothing_is_recorded(shared_api: httpx.AsyncClient) -> None:
    answer = await hand_in(shared_api, 404, brokers=["paper", "zerodha"])
    assert answer["code"] == "BROKER_UNKNOWN"
    assert (await shared_api.get("/api/v1/signals")).json()["items"] == []
