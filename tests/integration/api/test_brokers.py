"""A broker's session and switch over HTTP, on the real desk."""

from typing import Any

import httpx
import pytest

from tests.integration.api.test_signals import hand_in, until
from tests.rehearsal import Rehearsal


async def post(api: httpx.AsyncClient, path: str, body: object = None, status: int = 200) -> dict[str, Any]:
    answer = await api.post(f"/api/v1/brokers/{path}", json=body)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_halt_denies_entries_until_trading_resumes(rehearsal: Rehearsal, api: httpx.AsyncClient) -> None:
    halted = await post(api, "paper/halt", {"reason": "news"})
    assert halted["switch"] == "HALTED"
    assert (halted["switch_reason"], halted["switch_actor"]) == ("news", "admin")
    denied = await until(api, (await hand_in(api))["orders"][0]["order_id"], "DENIED")
    assert denied["reason_code"] == "SWITCH_HALTED"
    assert (await post(api, "paper/exits-only"))["switch"] == "EXITS_ONLY"
    assert (await post(api, "paper/resume"))["switch"] == "ENABLED"
    await until(api, (await hand_in(api))["orders"][0]["order_id"], "FILLED")


async def test_a_dead_session_is_rehearsed_and_a_login_wakes_the_order(
    rehearsal: Rehearsal, api: httpx.AsyncClient
) -> None:
    await post(api, "paper/session", {"request_token": "first"})
    await post(api, "paper/rehearse", {"expire_session": True})
    order_id = (await hand_in(api))["orders"][0]["order_id"]
    await until(api, order_id, "AWAITING_AUTH")
    opened = await post(api, "paper/session", {"request_token": "again"})
    assert opened["session"] == "ACTIVE"
    await until(api, order_id, "FILLED")
    (broker,) = (await api.get("/api/v1/brokers")).json()["items"]
    assert broker["session"] == "ACTIVE"
    assert broker["live"] is True
    assert broker["waiting_orders"] == broker["needs_person"] == 0


async def test_a_refused_login_is_422_and_changes_nothing(rehearsal: Rehearsal, api: httpx.AsyncClient) -> None:
    refused = await post(api, "paper/session", {"request_token": "refuse"}, 422)
    assert refused["code"] == "BROKER_LOGIN_REFUSED"


async def test_a_request_token_never_comes_back(rehearsal: Rehearsal, api: httpx.AsyncClient) -> None:
    answer = await api.post("/api/v1/brokers/paper/session", json={"request_token": "s3cr3t token"})
    assert answer.status_code == 422
    assert "s3cr3t" not in answer.text


async def test_the_login_page_of_paper_says_that_any_token_works(shared_api: httpx.AsyncClient) -> None:
    answer = (await shared_api.get("/api/v1/brokers/paper/login")).json()
    assert answer["login_url"] is None
    assert "any request_token" in answer["instructions"]


@pytest.mark.parametrize(
    "body",
    [{}, {"fault": "EARTHQUAKE"}, {"fault": "LOSE_REPLY", "expire_session": True}, {"fault": "LOSE_REPLY", "count": 0}],
)
async def test_a_bad_rehearsal_is_422(shared_api: httpx.AsyncClient, body: dict[str, Any]) -> None:
    assert (await shared_api.post("/api/v1/brokers/paper/rehearse", json=body)).status_code == 422
