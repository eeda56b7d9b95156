"""The simulator's replies have the keys of Zerodha's own samples."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx
import pytest

from alphapanda.kitesim.server import KiteSim
from tests.conftest import SHARED
from tests.integration.kitesim.clients import Client

MOCKS = SHARED / "data" / "kite-mocks"

pytestmark = pytest.mark.skipif(not MOCKS.is_dir(), reason="the samples are not here")

# Keys that only auction orders and dealers' terminals have.
_NOT_PLAYED = {"auction_number", "terminal_id"}


def sample(name: str) -> Any:
    return json.loads((MOCKS / f"{name}.json").read_text())["data"]


def keys(value: Any) -> Any:
    """The nested keys of a document; a list counts as its first element."""
    if isinstance(value, dict):
        return {name: keys(each) for name, each in value.items() if name not in ("meta", "authorisation")}
    if isinstance(value, list):
        return [keys(value[0])] if value else []
    return None


def all_and_common(rows: Iterable[dict[str, Any]]) -> tuple[set[str], set[str]]:
    found = [set(row) for row in rows]
    return set.union(*found), set.intersection(*found)


async def raw(sim: KiteSim, client: Client, path: str, method: str = "GET", **options: Any) -> Any:
    """The reply as it is on the wire, without what the client makes of it."""
    headers = {"authorization": f"token {sim.settings.api_key}:{client.kite.access_token}"}
    async with httpx.AsyncClient(base_url=sim.url, headers=headers) as http:
        answer = (await http.request(method, path, **options)).json()
    assert answer["status"] == "success"
    return answer["data"]


async def test_orders(sim: KiteSim, client: Client) -> None:
    await client.place(tag="a")
    await client.place(price=2000)
    rows = await raw(sim, client, "/orders")

    known, _ = all_and_common(sample("orders"))
    required = set(sample("orders")[-2])  # the newest plain row
    for row in rows:
        assert set(row) <= known - _NOT_PLAYED
        assert set(row) >= required - {"tags"}
    assert {tuple(sorted(row)) for row in rows if row["tag"] is None} == {
        tuple(sorted(set(row) - {"tags"})) for row in rows
    }
    assert all(isinstance(row["order_timestamp"], str) for row in rows)


async def test_order_history(sim: KiteSim, client: Client) -> None:
    order_id = await client.place(price=1400)
    await client.call("modify_order", "regular", order_id, price=1410)

    rows = await raw(sim, client, f"/orders/{order_id}")

    assert set(rows[0]) >= set(sample("order_info")[0])
    expected = [row["status"] for row in sample("order_info")]
    assert [row["status"] for row in rows if row["status"] != "MODIFIED"] == [
        status for status in expected if status != "MODIFIED"
    ]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/trades", "trades"),
        ("/portfolio/positions", "positions"),
        ("/portfolio/holdings", "holdings"),
        ("/user/margins", "margins"),
        ("/user/margins/equity", "margins_equity"),
        ("/user/profile", "profile"),
        ("/quote?i=NSE:INFY", "quote"),
        ("/quote/ohlc?i=NSE:INFY", "ohlc"),
        ("/quote/ltp?i=NSE:INFY", "ltp"),
    ],
)
async def test_reads(sim: KiteSim, client: Client, path: str, name: str) -> None:
    await client.place()
    assert keys(await raw(sim, client, path)) == keys(sample(name))


async def test_trades_of_an_order(sim: KiteSim, client: Client) -> None:
    order_id = await client.place()
    assert keys(await raw(sim, client, f"/orders/{order_id}/trades")) == keys(sample("order_trades"))


async def test_placing_modifying_cancelling(sim: KiteSim, client: Client) -> None:
    form = {"exchange": "NSE", "tradingsymbol": "INFY", "transaction_type": "BUY", "quantity": "1", "product": "MIS",
            "order_type": "LIMIT", "price": "1400"}  # fmt: skip
    placed = await raw(sim, client, "/orders/regular", "POST", data=form)
    assert keys(placed) == keys(sample("order_response"))
    where = f"/orders/regular/{placed['order_id']}"
    assert keys(await raw(sim, client, where, "PUT", data={"price": "1390"})) == keys(sample("order_modify"))
    assert keys(await raw(sim, client, where, "DELETE")) == keys(sample("order_cancel"))
    order = form | {"variety": "regular", "quantity": 1, "price": 1400}
    margins = await raw(sim, client, "/margins/orders", "POST", json=[order])
    assert keys(margins) == keys(sample("order_margins"))
    notes = await raw(sim, client, "/charges/orders", "POST", json=[order | {"average_price": 1400}])
    assert keys(notes) == keys(sample("virtual_contract_note"))
    assert await raw(sim, client, "/session/token", "DELETE") == sample("session_logout")


async def test_slices(sim: KiteSim, client: Client) -> None:
    future = next(each for each in sim.account.exchange.instruments if each.instrument_type == "FUT")
    sim.faults.arm("slice-failure")
    form = {"exchange": "NFO", "tradingsymbol": future.tradingsymbol, "transaction_type": "BUY", "quantity": "3675",
            "product": "NRML", "order_type": "LIMIT", "price": "24000", "autoslice": "true"}  # fmt: skip

    reply = await raw(sim, client, "/orders/regular", "POST", data=form)

    expected = sample("autoslice_response")
    assert keys(reply) == keys(expected)
    refused = next(child for child in expected["children"] if "error" in child)
    assert keys(reply["children"][1]) == keys(refused)


async def test_a_session(sim: KiteSim) -> None:
    client = Client.of(sim)
    session = await client.call("generate_session", sim.login(), sim.settings.api_secret)
    assert keys(session) == keys(sample("generate_session"))


async def test_the_dump_of_instruments(sim: KiteSim) -> None:
    async with httpx.AsyncClient() as http:
        dump = (await http.get(sim.url + "/instruments/NSE")).text
    assert dump.splitlines()[0] == Path(MOCKS / "instruments_nse.csv").read_text().splitlines()[0]
