"""Instruments over HTTP and from the terminal: found, loaded from a file and from a broker, and how fresh they are."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from alphapanda.domain.ids import Broker
from alphapanda.feed.instruments import cash_equity
from alphapanda.instruments.freshness import dump_day
from alphapanda.instruments.loading import load_dump
from alphapanda.kitesim.server import KiteSim
from alphapanda.kitesim.settings import SimSettings
from alphapanda.ledger.engine import LedgerEngine
from alphapanda.ledger.instruments import save_instruments
from alphapanda.sessions.tokens import TokenStore
from alphapanda.sessions.vault import Vault
from alphapanda.settings import Settings
from alphapanda.stack import StackEndpoints
from tests.dumps import CALL, FUTURE, INDEX, SHARE, csv_of, share, shares
from tests.integration.api.conftest import TOKEN, serving, settings_on
from tests.integration.api.test_edge import assert_problem
from tests.integration.api.test_lists import items, pages
from tests.integration.api.test_login import zerodha_on
from tests.integration.processes import ask, environment

PATH = "/api/v1/instruments"
ZERODHA = Broker("zerodha")
BANK = share("NIFTYBANKX", 31, name="A BANK")


async def load(engine: LedgerEngine, *rows: dict[str, Any], as_of: date) -> None:
    await load_dump(
        engine, csv_of(*rows), as_of=as_of, source="zerodha", origin="a test", actor="tester", now=datetime.now(UTC)
    )


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("query=infy", ["INFY", "INFY26NOV1500CE", "INFY26NOVFUT"]),
        ("query=fut infy", ["INFY26NOVFUT"]),
        ("query=nifty", ["NIFTY 50", "NIFTYBANKX", "XNIFTY"]),
        ("query=bank a", ["NIFTYBANKX"]),
        ("query=infosys", ["INFY"]),
        ("query=%25", []),
        ("exchange=NFO", ["INFY26NOV1500CE", "INFY26NOVFUT"]),
        ("type=CE", ["INFY26NOV1500CE"]),
        ("expiry=2026-11-24&strike=1500", ["INFY26NOV1500CE"]),
        ("expiry=2026-11-25", []),
        ("type=INDEX&query=50", ["NIFTY 50"]),
    ],
)
async def test_instruments_are_found_the_best_first(
    ledger_engine: LedgerEngine, api: httpx.AsyncClient, query: str, found: list[str]
) -> None:
    await load(ledger_engine, SHARE, FUTURE, CALL, INDEX, BANK, share("XNIFTY", 32), as_of=date(2026, 11, 20))
    assert [item["tradingsymbol"] for item in await items(api, f"{PATH}?{query}")] == found


async def test_pages_hold_each_instrument_once_and_in_order(
    ledger_engine: LedgerEngine, api: httpx.AsyncClient
) -> None:
    await load(ledger_engine, *shares(12), share("LS0", 5), as_of=date(2026, 11, 20))
    walked = await pages(api, f"{PATH}?query=s0&limit=5")
    names = [item["tradingsymbol"] for page in walked for item in page]
    assert names == [*(f"S{n:04d}" for n in range(12)), "LS0"]


@pytest.mark.parametrize("query", ["type=BOND", "expiry=soon", "strike=-1", "strike=x", "limit=0", "exchange=NYSE"])
async def test_what_cannot_be_searched_for_is_422(shared_api: httpx.AsyncClient, query: str) -> None:
    assert_problem(await shared_api.get(f"{PATH}?{query}"), 422, "INPUT_INVALID")


async def test_what_has_left_the_dump_is_shown_on_request(ledger_engine: LedgerEngine, api: httpx.AsyncClient) -> None:
    await load(ledger_engine, *shares(10), as_of=date(2026, 11, 19))
    await load(ledger_engine, *shares(9), as_of=date(2026, 11, 20))
    assert await items(api, f"{PATH}?query=s0009") == []
    (gone,) = await items(api, f"{PATH}?query=s0009&withdrawn=true")
    assert gone["withdrawn_on"] == "2026-11-20"


async def test_the_status_tells_the_oldest_exchange_and_the_history(
    ledger_engine: LedgerEngine, api: httpx.AsyncClient
) -> None:
    empty = (await api.get(f"{PATH}/status")).json()
    assert (empty["as_of"], empty["current"], empty["loads"]) == (None, False, [])
    assert "alphapanda instruments load" in empty["next_action"]
    await load(ledger_engine, FUTURE, as_of=date(2026, 1, 5))
    await load(ledger_engine, SHARE, as_of=dump_day(datetime.now(UTC)))
    async with ledger_engine.begin() as connection:
        await save_instruments(connection, [cash_equity("MADEUP")], source="simulator", as_of=date(2026, 11, 20))
    found = (await api.get(f"{PATH}/status")).json()
    assert (found["as_of"], found["current"]) == ("2026-01-05", False)
    assert [(each["exchange"], each["instruments"]) for each in found["exchanges"]] == [("NFO", 1), ("NSE", 2)]
    assert [each["outcome"] for each in found["loads"]] == ["LOADED", "LOADED"]
    await load(ledger_engine, FUTURE | {"expiry": "2099-01-01"}, as_of=dump_day(datetime.now(UTC)))
    assert (await api.get(f"{PATH}/status")).json()["current"] is True


async def test_an_old_dump_degrades_readiness_and_none_is_missed_on_paper(
    ledger_engine: LedgerEngine, api: httpx.AsyncClient
) -> None:
    async def component() -> dict[str, Any] | None:
        found: dict[str, Any] | None = (await api.get("/health/ready")).json()["components"].get("instruments")
        return found

    assert await component() is None
    await load(ledger_engine, SHARE, as_of=date(2026, 1, 5))
    old = await component()
    assert old is not None
    assert (old["status"], old["required"]) == ("degraded", False)
    assert "the dump of 2026-01-05 is older than the session of" in old["detail"]
    assert "alphapanda instruments load" in old["next_action"]
    await load(ledger_engine, SHARE, as_of=dump_day(datetime.now(UTC)))
    fresh = await component()
    assert fresh is not None
    assert (fresh["status"], fresh["next_action"]) == ("up", None)


@pytest.fixture
async def sim() -> AsyncIterator[KiteSim]:
    async with KiteSim(SimSettings()) as running:
        yield running


@pytest.fixture
async def at_zerodha(
    stack_endpoints: StackEndpoints, ledger_url: str, tmp_path: Path, sim: KiteSim
) -> AsyncIterator[tuple[Settings, httpx.AsyncClient]]:
    """The API of a desk on a simulated Zerodha, where nobody is logged in yet."""
    settings = settings_on(
        stack_endpoints, ledger_url, tmp_path, active_brokers=["zerodha", "paper"], zerodha=zerodha_on(sim)
    )
    async with serving(settings) as client:
        yield settings, client


async def test_the_dump_is_fetched_from_the_broker_with_its_session(
    ledger_engine: LedgerEngine, sim: KiteSim, at_zerodha: tuple[Settings, httpx.AsyncClient]
) -> None:
    settings, api = at_zerodha
    assert_problem(await api.post(f"{PATH}/load", json={"broker": "zerodha"}), 409, "BROKER_NOT_AUTHENTICATED")
    token = sim.account.fresh_session()
    await TokenStore(ledger_engine, Vault.open(settings)).write(ZERODHA, token, "XX0000", at=datetime.now(UTC))
    answer = await api.post(f"{PATH}/load", json={"broker": "zerodha"})
    assert answer.status_code == 200, answer.text
    loaded = answer.json()
    assert (loaded["source"], loaded["refused"]) == ("kite-sim", 0)
    assert loaded["accepted"] == len(list(sim.account.exchange.instruments))
    assert loaded["as_of"] == dump_day(datetime.now(UTC)).isoformat()
    (future,) = await items(api, f"{PATH}?type=FUT")
    assert (future["name"], future["lot_size"], future["load_id"]) == ("NIFTY", 75, loaded["id"])


@pytest.mark.parametrize(
    ("broker", "status", "code"), [("paper", 409, "INSTRUMENT_DUMP_NONE"), ("nowhere", 404, "BROKER_UNKNOWN")]
)
async def test_a_broker_without_a_dump_is_told(
    shared_api: httpx.AsyncClient, broker: str, status: int, code: str
) -> None:
    assert_problem(await shared_api.post(f"{PATH}/load", json={"broker": broker}), status, code)


@pytest.fixture
def variables(stack_endpoints: StackEndpoints, ledger_url: str, tmp_path: Path) -> dict[str, str]:
    assert stack_endpoints.redis_url is not None
    assert stack_endpoints.temporal_address is not None
    return environment(
        DATABASE__URL=ledger_url, REDIS__URL=stack_endpoints.redis_url, API__ADMIN_TOKEN=TOKEN,
        TEMPORAL__ADDRESS=stack_endpoints.temporal_address, DATA_DIR=str(tmp_path),
    )  # fmt: skip


async def cli(variables: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    ended = await asyncio.to_thread(ask, *arguments, variables=variables)
    return ended.returncode, ended.stdout, ended.stderr


async def test_a_file_is_loaded_from_the_terminal_and_what_was_refused_is_told(
    tmp_path: Path, variables: dict[str, str], ledger_engine: LedgerEngine
) -> None:
    file = tmp_path / "dump.csv.gz"
    file.write_bytes(gzip.compress(csv_of(*shares(10), FUTURE | {"expiry": "2026-11-20"}, share("BAD", 0))))
    code, said, noted = await cli(variables, "instruments", "load", str(file))
    assert (code, "check rows" in noted) == (0, True), noted
    assert "refused for its instrument_token: 1 rows" in said
    assert "line 13: NSE:BAD: '0'; a whole number of 32 bits" in said
    code, said, _ = await cli(variables, "instruments", "load", str(file), "--json")
    loaded = json.loads(said)
    # The file is of today at the earliest, and holds what expired before that: it cannot be younger.
    assert loaded["as_of"] <= "2026-11-20"
    assert (loaded["added"], loaded["accepted"]) == (0, 11)


@pytest.mark.parametrize(
    ("content", "arguments", "code", "why"),
    [
        (b"not,a,dump\n1,2,3\n", [], 1, "INSTRUMENT_DUMP_UNREADABLE"),
        (csv_of(share("A", 0)), [], 1, "INSTRUMENT_DUMP_REFUSED"),
        (gzip.compress(csv_of(*shares(100)))[:200], [], 1, "is cut off or damaged"),
        (csv_of(SHARE), ["--as-of", "today"], 2, "--as-of: 'today' is not a date"),
        (csv_of(SHARE), ["--broker", "zerodha"], 2, "name either a file or --broker"),
        (None, [], 1, "cannot be read: No such file"),
    ],
    ids=["another file", "bad rows only", "cut off", "no date", "both", "no file"],
)
async def test_a_file_that_cannot_be_loaded_is_refused_with_what_to_do(
    tmp_path: Path, variables: dict[str, str], ledger_engine: LedgerEngine,
    content: bytes | None, arguments: list[str], code: int, why: str,
) -> None:  # fmt: skip
    file = tmp_path / "dump"
    if content is not None:
        file.write_bytes(content)
    ended, _, said = await cli(variables, "instruments", "load", str(file), *arguments)
    assert ended == code
    assert why in said
    assert "next: " in said
