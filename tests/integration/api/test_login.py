"""Logging in to Zerodha: the whole way round through a browser, against the simulator and its real protocol."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from sqlalchemy import text
from temporalio.client import Client
from temporalio.service import RPCError

from alphapanda.domain.ids import Broker
from alphapanda.kitesim.server import KiteSim
from alphapanda.kitesim.settings import SimSettings
from alphapanda.ledger.brokers import register_brokers
from alphapanda.ledger.engine import LedgerEngine
from alphapanda.sessions.tokens import TokenStore
from alphapanda.sessions.vault import Vault
from alphapanda.settings import Settings
from alphapanda.stack import StackEndpoints
from tests.integration.api.conftest import serving, settings_on

ZERODHA = Broker("zerodha")
HERE = "/api/v1/brokers/zerodha"
ELSEWHERE = "http://desk.invalid/api/v1/brokers/zerodha/callback"


@pytest.fixture
async def sim() -> AsyncIterator[KiteSim]:
    async with KiteSim(SimSettings(redirect_url=ELSEWHERE)) as running:
        yield running


def zerodha_on(sim: KiteSim) -> dict[str, Any]:
    return {
        "api_root": sim.url, "ticker_root": sim.ws_url, "login_root": sim.url,
        "api_key": sim.settings.api_key, "api_secret": sim.settings.api_secret,
    }  # fmt: skip


@pytest.fixture
async def api_settings(
    stack_endpoints: StackEndpoints, ledger_url: str, ledger_engine: LedgerEngine, tmp_path: Path, sim: KiteSim
) -> Settings:
    await register_brokers(ledger_engine, [ZERODHA, Broker("paper")], now=datetime.now(UTC))
    return settings_on(
        stack_endpoints, ledger_url, tmp_path, active_brokers=["zerodha", "paper"], zerodha=zerodha_on(sim)
    )


@pytest.fixture
async def api(api_settings: Settings, temporal: Client) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(api_settings) as client:
        yield client
    with contextlib.suppress(RPCError):  # nobody logged in: there is none
        await temporal.get_workflow_handle("broker:zerodha").terminate("the test is over")


@pytest.fixture
async def browser(api: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody without our token."""
    async with httpx.AsyncClient(base_url=api.base_url, timeout=30) as client:
        yield client


async def began(api: httpx.AsyncClient) -> str:
    """The address of the login page."""
    answer = await api.get(f"{HERE}/login")
    assert answer.status_code == 200, answer.text
    url: str = answer.json()["login_url"]
    return url


async def came_back(url: str) -> dict[str, str]:
    """What the broker's login page adds to the redirect, once somebody has logged in there."""
    async with httpx.AsyncClient() as client:
        answer = await client.get(url)
    assert answer.status_code == 302
    where = answer.headers["location"]
    assert where.startswith(ELSEWHERE)
    return {name: values[0] for name, values in parse_qs(urlsplit(where).query).items()}


async def session_of(api: httpx.AsyncClient) -> str:
    found: str = (await api.get(HERE)).json()["session"]
    return found


async def kept_token(settings: Settings, engine: LedgerEngine) -> str | None:
    token = await TokenStore(engine, Vault.open(settings)).read(ZERODHA)
    return token.token if token else None


async def test_a_login_comes_back_through_the_browser_and_leaves_no_secret_anywhere(
    api: httpx.AsyncClient, browser: httpx.AsyncClient, sim: KiteSim, api_settings: Settings,
    ledger_engine: LedgerEngine, temporal: Client,
) -> None:  # fmt: skip
    url = await began(api)
    given = await came_back(url)
    page = await browser.get(f"{HERE}/callback", params=given)
    assert page.status_code == 200, page.text
    assert "Logged in to zerodha" in page.text
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "no-referrer"
    assert await session_of(api) == "ACTIVE"
    token = sim.account.sessions.state.access_token
    assert token is not None
    assert await kept_token(api_settings, ledger_engine) == token
    history = (await temporal.get_workflow_handle("broker:zerodha").fetch_history()).to_json()
    async with ledger_engine.connect() as connection:
        stored = str((await connection.execute(text("SELECT * FROM broker_events"))).all())
        nonces = str((await connection.execute(text("SELECT * FROM login_nonces"))).all())
    for secret in (token, given["request_token"], given["state"], sim.settings.api_secret):
        for seen in (page.text, str(page.headers), history, stored, nonces):
            assert secret not in seen


async def test_an_address_is_good_for_one_login(
    api: httpx.AsyncClient, browser: httpx.AsyncClient, sim: KiteSim
) -> None:
    given = await came_back(await began(api))
    assert (await browser.get(f"{HERE}/callback", params=given)).status_code == 200
    again = await browser.get(f"{HERE}/callback", params={**given, "request_token": sim.login()})
    assert again.status_code == 403
    assert "not begun here, was ended before" in again.text
    assert sim.account.sessions.state.opened == 1
    assert await session_of(api) == "ACTIVE"


@pytest.mark.parametrize("state", [None, "", "guessed", "x" * 5000, "\x00", "<script>alert(1)</script>"])
async def test_a_login_that_was_not_begun_here_is_not_ended_here(
    api: httpx.AsyncClient, browser: httpx.AsyncClient, sim: KiteSim, state: str | None
) -> None:
    given = {"request_token": sim.login(), "status": "success", "action": "login"}
    page = await browser.get(f"{HERE}/callback", params=given if state is None else {**given, "state": state})
    assert page.status_code == 403
    assert "alphapanda login --broker zerodha" in page.text
    assert "<script>" not in page.text
    assert sim.account.sessions.state.opened == 0
    await api.post(f"{HERE}/session", json={"request_token": given["request_token"]})  # it was not spent
    assert await session_of(api) == "ACTIVE"


async def test_a_login_that_took_too_long_is_begun_anew(
    api: httpx.AsyncClient, browser: httpx.AsyncClient, sim: KiteSim, ledger_engine: LedgerEngine
) -> None:
    given = await came_back(await began(api))
    async with ledger_engine.begin() as connection:
        await connection.execute(text("UPDATE login_nonces SET expires_at = now()"))
    assert (await browser.get(f"{HERE}/callback", params=given)).status_code == 403
    assert (await browser.get(f"{HERE}/callback", params=await came_back(await began(api)))).status_code == 200
    assert sim.account.sessions.state.opened == 1


@pytest.mark.parametrize(
    "changed",
    [{"status": "cancelled"}, {"status": ""}, {"request_token": ""}, {"request_token": "two words"},
     {"request_token": "x" * 201}, {"action": "authorise"}],
)  # fmt: skip
async def test_a_login_that_was_not_completed_is_told_as_such(
    api: httpx.AsyncClient, browser: httpx.AsyncClient, sim: KiteSim, changed: dict[str, str]
) -> None:
    given = await came_back(await began(api))
    page = await browser.get(f"{HERE}/callback", params={**given, **changed})
    assert page.status_code == 422
    assert "Not logged in" in page.text
    assert given["request_token"] not in page.text
    assert sim.account.sessions.state.opened == 0


async def test_a_request_token_works_once(api: httpx.AsyncClient, sim: KiteSim) -> None:
    request_token = sim.login()
    first = await api.post(f"{HERE}/session", json={"request_token": request_token})
    assert (first.status_code, first.json()["session"]) == (200, "ACTIVE")
    second = await api.post(f"{HERE}/session", json={"request_token": request_token})
    assert (second.status_code, second.json()["code"]) == (422, "BROKER_LOGIN_REFUSED")
    assert request_token not in second.text
    assert await session_of(api) == "ACTIVE"
    assert sim.account.sessions.state.opened == 1


async def test_logins_that_race_take_turns_and_leave_the_session_that_lives(
    api: httpx.AsyncClient, sim: KiteSim, api_settings: Settings, ledger_engine: LedgerEngine
) -> None:
    same = sim.login()
    tokens = [same, same, same, *(sim.login() for _ in range(5))]
    async with serving(api_settings) as another:  # a second process of the API: its own engine, its own locks
        answers = await asyncio.gather(
            *(
                (api, another)[number % 2].post(f"{HERE}/session", json={"request_token": token})
                for number, token in enumerate(tokens)
            )
        )
    assert sorted(answer.status_code for answer in answers) == [200] * 6 + [422] * 2
    assert await kept_token(api_settings, ledger_engine) == sim.account.sessions.state.access_token
    assert await session_of(api) == "ACTIVE"


async def test_each_address_has_a_state_of_its_own(api: httpx.AsyncClient, sim: KiteSim) -> None:
    first, second = parse_qs(urlsplit(await began(api)).query), parse_qs(urlsplit(await began(api)).query)
    assert first["v"] == ["3"]
    assert first["api_key"] == [sim.settings.api_key]
    assert first["redirect_params"] != second["redirect_params"]
    assert len(first["redirect_params"][0].removeprefix("state=")) >= 43


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/brokers/paper/callback"),
        ("GET", f"{HERE}/callback/"),
        ("GET", f"{HERE}/callback/x"),
        ("GET", f"{HERE}//callback"),
        ("GET", f"{HERE}/login"),
        ("POST", f"{HERE}/session"),
        ("POST", "/api/v1/brokers/paper/postback"),
    ],
)
async def test_only_the_callback_and_the_postback_of_zerodha_need_no_token(
    api: httpx.AsyncClient, browser: httpx.AsyncClient, sim: KiteSim, method: str, path: str
) -> None:
    assert (await browser.request(method, path)).status_code == 401


async def test_where_zerodha_is_not_active_nothing_of_it_is_public(
    stack_endpoints: StackEndpoints, ledger_url: str, tmp_path: Path
) -> None:
    async with serving(settings_on(stack_endpoints, ledger_url, tmp_path)) as api:
        for method, path in (("GET", f"{HERE}/callback"), ("POST", f"{HERE}/postback")):
            assert (await api.request(method, path, headers={"Authorization": ""})).status_code == 401
            assert (await api.request(method, path, json={} if method == "POST" else None)).status_code == 404


async def test_without_key_and_secret_a_login_names_the_setting(
    stack_endpoints: StackEndpoints, ledger_url: str, tmp_path: Path
) -> None:
    async with serving(settings_on(stack_endpoints, ledger_url, tmp_path, active_brokers=["zerodha"])) as api:
        answer = await api.get(f"{HERE}/login")
        assert answer.status_code == 503
        assert "ALPHAPANDA_ZERODHA__API_KEY" in answer.text


def genuine(sim: KiteSim, **others: Any) -> dict[str, Any]:
    order_id, at = "2611200000000001", "2026-11-20 09:15:01"
    proof = hashlib.sha256(f"{order_id}{at}{sim.settings.api_secret}".encode()).hexdigest()
    return {"order_id": order_id, "order_timestamp": at, "checksum": proof, "status": "COMPLETE", **others}


async def test_a_postback_of_an_unknown_order_is_taken_and_changes_nothing(
    api: httpx.AsyncClient, browser: httpx.AsyncClient, sim: KiteSim
) -> None:
    for extra in ({}, {"tag": "NOBODYSTAG0000000000"}, {"tag": 7, "tags": ["\x00", None, "x" * 99]}):
        answer = await browser.post(f"{HERE}/postback", json=genuine(sim, **extra))
        assert (answer.status_code, answer.json()) == (200, {"received": True})


@pytest.mark.parametrize(
    "changed",
    [{"checksum": "0" * 64}, {"checksum": None}, {"checksum": "\ud800"}, {"order_id": "2611200000000002"},
     {"order_timestamp": "2026-11-20 09:15:02"}, {"order_id": 2611200000000001}],
)  # fmt: skip
async def test_a_postback_that_does_not_prove_itself_is_403(
    api: httpx.AsyncClient, browser: httpx.AsyncClient, sim: KiteSim, changed: dict[str, Any]
) -> None:
    body = json.dumps({**genuine(sim), **changed})
    answer = await browser.post(f"{HERE}/postback", content=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "POSTBACK_CHECKSUM_WRONG")


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 422), (b"[]", 422), (b"{", 422), (b"\xff", 422), (b"[" * 50_000, 422), (b" " * 70_000, 413)],
)
async def test_a_postback_that_is_none_is_refused(
    api: httpx.AsyncClient, browser: httpx.AsyncClient, sim: KiteSim, body: bytes, status: int
) -> None:
    assert (await browser.post(f"{HERE}/postback", content=body)).status_code == status
