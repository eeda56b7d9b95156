"""`alphapanda login`, as a process beside an API that is a process: what it says, how it ends, what nobody may see."""

import asyncio
import contextlib
import re
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from temporalio.client import Client
from temporalio.service import RPCError

from alphapanda.kitesim.server import KiteSim
from alphapanda.kitesim.settings import SimSettings
from alphapanda.stack import StackEndpoints
from tests.integration.api.test_login import ELSEWHERE, HERE, came_back
from tests.integration.processes import Program, ask, command, environment, running

TOKEN = "a-token-for-tests-only"


class Desk:
    """An API's process in debug mode, and what the commands need to find it."""

    def __init__(self, sim: KiteSim, api: Program, variables: dict[str, str], folder: Path) -> None:
        self.sim = sim
        self.api = api
        self._folder = folder
        found = re.search(r"api_listening.*port\W+(\d+)", api.until_it_says("api_listening"))
        assert found is not None
        self.url = f"http://127.0.0.1:{found[1]}"
        self.variables = {**variables, "ALPHAPANDA_API__PORT": found[1]}

    def login(self, *arguments: str) -> "contextlib.AbstractContextManager[Program]":
        argv = command("alphapanda.cli", "login", "--broker", "zerodha", *arguments)
        return running(argv, self._folder / "login.log", self.variables)

    async def ask(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """The command to its end; in a thread, as the simulator lives in this loop."""
        return await asyncio.to_thread(ask, "login", "--broker", "zerodha", *arguments, variables=self.variables)

    async def browse(self, url: str) -> dict[str, str]:
        """A person logs in; returns what came back with the browser."""
        given = await came_back(url)
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as browser:
            page = await browser.get(f"{HERE}/callback", params=given)
        assert page.status_code == 200, page.text
        return given


@pytest.fixture
async def desk(
    stack_endpoints: StackEndpoints, ledger_url: str, temporal: Client, tmp_path: Path
) -> AsyncIterator[Desk]:
    async with KiteSim(SimSettings(redirect_url=ELSEWHERE)) as sim:
        variables = environment(
            DATA_DIR=str(tmp_path / "data"),
            LOG__LEVEL="DEBUG",
            ACTIVE_BROKERS="zerodha",
            DATABASE__URL=ledger_url,
            REDIS__URL=stack_endpoints.redis_url or "",
            TEMPORAL__ADDRESS=stack_endpoints.temporal_address or "",
            API__PORT="0",
            API__ADMIN_TOKEN=TOKEN,
            ZERODHA__API_ROOT=sim.url,
            ZERODHA__TICKER_ROOT=sim.ws_url,
            ZERODHA__LOGIN_ROOT=sim.url,
            ZERODHA__API_KEY=sim.settings.api_key,
            ZERODHA__API_SECRET=sim.settings.api_secret,
        )
        with running(command("api"), tmp_path / "api.log", variables) as api:
            yield Desk(sim, api, variables, tmp_path)
    with contextlib.suppress(RPCError):  # nobody logged in: there is none
        await temporal.get_workflow_handle("broker:zerodha").terminate("the test is over")


def address_in(said: str) -> str:
    found = re.search(r"http\S+/connect/login\S+", said)
    assert found is not None, said
    return found[0]


async def test_it_shows_where_to_log_in_and_ends_when_the_browser_came_back(desk: Desk) -> None:
    with desk.login() as login:
        url = address_in(login.until_it_says("waiting for the login"))
        await desk.browse(url)
        assert login.ended() == 0
        assert "logged in to zerodha" in login.output()


async def test_a_login_while_a_session_lives_waits_for_the_new_one(desk: Desk) -> None:
    first = await desk.ask("--request-token", desk.sim.login())
    assert first.returncode == 0, first.stderr
    with desk.login() as login:
        url = address_in(login.until_it_says("waiting for the login"))
        await desk.browse(url)
        assert login.ended() == 0
    assert desk.sim.account.sessions.state.opened == 2


async def test_a_request_token_is_taken_and_a_used_one_refused(desk: Desk) -> None:
    token = desk.sim.login()
    first = await desk.ask("--request-token", token, "--json")
    assert first.returncode == 0, first.stderr
    assert '"session": "ACTIVE"' in first.stdout
    second = await desk.ask("--request-token", token)
    assert second.returncode == 2
    assert "BROKER_LOGIN_REFUSED" in second.stderr
    assert token not in second.stderr


async def test_it_gives_up_in_time_and_says_what_to_do(desk: Desk) -> None:
    answer = await desk.ask("--timeout", "1")
    assert answer.returncode == 1
    assert "BROKER_LOGIN_NOT_SEEN" in answer.stderr
    assert "--request-token" in answer.stderr


async def test_it_need_not_wait(desk: Desk) -> None:
    answer = await desk.ask("--no-wait")
    assert answer.returncode == 0
    await desk.browse(address_in(answer.stdout))
    assert desk.sim.account.sessions.state.opened == 1


async def test_no_secret_of_a_login_is_in_any_log(desk: Desk) -> None:
    with desk.login("--json") as login:
        given = await desk.browse(address_in(login.until_it_says("waiting for the login")))
        assert login.ended() == 0
    async with httpx.AsyncClient(base_url=desk.url, timeout=30) as browser:
        assert (await browser.get(f"{HERE}/callback", params=given)).status_code == 403
        refused = {"request_token": given["request_token"]}
        answer = await browser.post(f"{HERE}/session", json=refused, headers={"Authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 422
    desk.api.stop()
    said = desk.api.output()
    assert said.count(f"{HERE}/callback") == 2
    token = desk.sim.account.sessions.state.access_token
    assert token is not None
    for secret in (given["request_token"], given["state"], token, desk.sim.settings.api_secret, TOKEN):
        assert secret not in said
