"""What one can ask of an order over HTTP, on the real desk."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from alphapanda.brokers.paper.rehearsal import PaperFault, arm_fault
from alphapanda.settings import Settings
from alphapanda.stack import StackEndpoints
from tests.integration.api.conftest import serving, settings_on
from tests.integration.api.test_signals import LIMIT, hand_in, until
from tests.rehearsal import PAPER, Rehearsal


async def resting(api: httpx.AsyncClient, **terms: Any) -> str:
    """The id of a limit buy far below the market, at rest at the broker."""
    accepted = await hand_in(api, **{**LIMIT, "price": "1400.00", **terms})
    order_id: str = accepted["orders"][0]["order_id"]
    await until(api, order_id, "OPEN")
    return order_id


async def command(api: httpx.AsyncClient, order_id: str, name: str, status: int = 200, **body: Any) -> dict[str, Any]:
    answer = await api.post(f"/api/v1/orders/{order_id}/{name}", json=body or None)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_living_order_is_answered_by_its_workflow(rehearsal: Rehearsal, api: httpx.AsyncClient) -> None:
    order = (await api.get(f"/api/v1/orders/{await resting(api)}")).json()
    assert order["live"] is True
    assert "rests at the broker" in order["next_step"]


async def test_a_resting_order_is_modified_then_cancelled(rehearsal: Rehearsal, api: httpx.AsyncClient) -> None:
    order_id = await resting(api)
    modified = await command(api, order_id, "modify", price=1405.5, quantity=12)
    assert modified["quantity"] == 12
    cancelled = await command(api, order_id, "cancel")
    assert cancelled["order_id"] == order_id
    ended = await until(api, order_id, "CANCELLED")
    assert ended["filled_quantity"] == 0
    assert ended["price"] == "1405.50"


async def test_a_command_that_does_not_fit_the_state_is_409_with_its_reason(
    rehearsal: Rehearsal, api: httpx.AsyncClient
) -> None:
    order_id = await resting(api)
    for name in ("approve", "deny", "retry"):
        refused = await command(api, order_id, name, 409)
        assert refused["code"] == "ORDER_NOT_IN_STATE"
    refused = await command(api, order_id, "resolve", 409, state="CANCELLED")
    assert "PARKED" in refused["detail"]


async def test_a_cancel_of_an_ended_order_is_409(rehearsal: Rehearsal, api: httpx.AsyncClient) -> None:
    accepted = await hand_in(api)
    order_id = accepted["orders"][0]["order_id"]
    await until(api, order_id, "FILLED")
    assert (await command(api, order_id, "cancel", 409))["code"] == "ORDER_ENDED"


@pytest.mark.parametrize(
    ("name", "body", "field"),
    [
        ("modify", {}, ""),
        ("modify", {"quantity": 0}, "quantity"),
        ("modify", {"price": "x"}, "price"),
        ("modify", {"side": "SELL"}, "side"),
        ("resolve", {"state": "UNKNOWN"}, "state"),
        ("resolve", {"state": "CANCELLED", "note": "a\u0000b"}, "note"),
        ("deny", {"note": "x" * 501}, "note"),
    ],
)
async def test_a_bad_command_is_422_and_names_the_field(
    rehearsal: Rehearsal, api: httpx.AsyncClient, name: str, body: dict[str, Any], field: str
) -> None:
    answer = await api.post(f"/api/v1/orders/{await resting(api)}/{name}", json=body)
    assert answer.status_code == 422, answer.text
    assert field in [error["field"] for error in answer.json()["errors"]]


class TestApproval:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return Settings.load(_env_file=None, risk={"approval_value": 1})

    @pytest.fixture
    def api_settings(self, api_settings: Settings, settings: Settings) -> Settings:
        return api_settings.model_copy(update={"risk": settings.risk})

    async def test_an_order_that_waits_for_a_person_is_approved(
        self, rehearsal: Rehearsal, api: httpx.AsyncClient
    ) -> None:
        order_id = (await hand_in(api))["orders"][0]["order_id"]
        waiting = await until(api, order_id, "AWAITING_APPROVAL")
        assert waiting["next_step"] == "Approve or deny it."
        await command(api, order_id, "approve")
        await until(api, order_id, "FILLED")

    async def test_an_order_that_waits_for_a_person_is_denied_with_a_note(
        self, rehearsal: Rehearsal, api: httpx.AsyncClient
    ) -> None:
        order_id = (await hand_in(api))["orders"][0]["order_id"]
        await until(api, order_id, "AWAITING_APPROVAL")
        denied = await command(api, order_id, "deny", note="not today")
        assert denied["state"] == "DENIED"
        events = (await api.get(f"/api/v1/orders/{order_id}/events")).json()["items"]
        assert "not today" in events[-1]["reason"]
        assert events[-1]["actor"] == "admin"


class TestParked:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return Settings.load(_env_file=None, orders={"resolve_timeout_s": 1, "resolve_interval_s": 0.2})

    @pytest.fixture
    def api_settings(self, api_settings: Settings, settings: Settings) -> Settings:
        return api_settings.model_copy(update={"orders": settings.orders})

    async def test_a_lost_request_is_rehearsed_parked_and_resolved(
        self, rehearsal: Rehearsal, api: httpx.AsyncClient
    ) -> None:
        body = {"fault": PaperFault.LOSE_REQUEST, "count": 1}
        await rehearsal.broker.session()  # opens the account
        armed = await api.post("/api/v1/brokers/paper/rehearse", json=body)
        assert armed.status_code == 200, armed.text
        order_id = (await hand_in(api))["orders"][0]["order_id"]
        await until(api, order_id, "PARKED")
        resolved = await command(api, order_id, "resolve", state="CANCELLED", note="not in the book")
        assert resolved["state"] == "CANCELLED"
        assert await rehearsal.broker.orders() == []


async def test_an_order_that_was_in_doubt_shows_what_was_sent_and_what_the_book_said(
    rehearsal: Rehearsal, api: httpx.AsyncClient
) -> None:
    await rehearsal.broker.session()
    await arm_fault(rehearsal.engine, PAPER, PaperFault.LOSE_REPLY, 1)
    order_id = await resting(api)
    order = (await api.get(f"/api/v1/orders/{order_id}")).json()
    (sent,) = order["evidence"]["sent"]
    assert (sent["tag"], sent["outcome"], sent["answer"]) == (order["tag"], "AMBIGUOUS", "the reply was lost")
    (search,) = order["evidence"]["searches"]
    assert search["last"].startswith("OPEN, filled 0/10")
    await command(api, order_id, "cancel")
    ended = await until(api, order_id, "CANCELLED")
    assert ended["evidence"]["sent"] == [sent]
    assert (await api.get("/api/v1/orders")).json()["items"][0].get("evidence") is None


async def test_the_rest_of_a_market_order_that_is_cancelled_by_policy_is_told_in_its_events(
    rehearsal: Rehearsal, stack_endpoints: StackEndpoints, ledger_url: str, tmp_path: Path
) -> None:
    policy = {"unfilled_market": "cancel", "unfilled_market_after_s": 0.2}
    async with serving(settings_on(stack_endpoints, ledger_url, tmp_path, orders=policy)) as api:
        await rehearsal.quote(volume=4)
        accepted = await hand_in(api)
        order_id = accepted["orders"][0]["order_id"]
        await until(api, order_id, "CANCELLED")
        events = (await api.get(f"/api/v1/orders/{order_id}/events")).json()["items"]
        (note,) = [event for event in events if event["from_state"] == event["to_state"]]
        assert note["reason"] == "UNFILLED_CANCELLED: filled=4/10, reprices=0"
