"""Zerodha's own ticker hears the simulator: frames, order updates, and everything that may befall a socket."""

import base64
import hashlib
import json
import struct
from datetime import datetime
from typing import Any

import pytest
from kiteconnect import KiteTicker  # type: ignore[import-untyped]

from alphapanda.kitesim.frames import HEARTBEAT, frame, packet
from alphapanda.kitesim.instruments import SimInstrument
from alphapanda.kitesim.server import KiteSim
from alphapanda.kitesim.settings import SimSettings
from tests.conftest import SHARED
from tests.integration.kitesim.clients import Client, Listener, until
from tests.integration.kitesim.postbox import Postbox

MOCKS = SHARED / "data" / "kite-mocks"


def instrument(sim: KiteSim, key: str) -> SimInstrument:
    found = sim.account.exchange.instruments.get(key)
    assert found is not None
    return found


def parsed(payload: bytes) -> list[dict[str, Any]]:
    ticks: list[dict[str, Any]] = KiteTicker("key", "token")._parse_binary(payload)
    return ticks


async def test_ticks_arrive_in_the_mode_asked_for(sim: KiteSim) -> None:
    infy = instrument(sim, "NSE:INFY").token
    async with Listener(sim, sim.open_session()) as listener:
        await listener.connected()
        await listener.subscribe([infy], "full")
        cached = await until(lambda: listener.ticks[:1], "the cached tick")
        assert cached[0]["last_price"] == 1500

        await sim.set_price("NSE", "INFY", "1501.5", volume=7)
        tick = await until(lambda: [each for each in listener.ticks if each["last_price"] == 1501.5], "the new tick")

    assert (tick[-1]["mode"], tick[-1]["last_traded_quantity"]) == ("full", 7)
    assert tick[-1]["ohlc"] == {"open": 1500.0, "high": 1501.5, "low": 1500.0, "close": 1500.0}
    assert len(tick[-1]["depth"]["buy"]) == len(tick[-1]["depth"]["sell"]) == 5
    assert isinstance(tick[-1]["exchange_timestamp"], datetime)


async def test_an_idle_socket_has_a_heartbeat(sim: KiteSim) -> None:
    async with Listener(sim, sim.open_session()) as listener:
        await until(lambda: HEARTBEAT in listener.payloads, "a heartbeat")


async def test_an_order_is_told_of_as_it_lives(sim: KiteSim) -> None:
    client = Client.of(sim)
    async with Listener(sim, client.kite.access_token) as listener:
        await listener.connected()
        order_id = await client.place(price=1400, tag="t")
        await sim.set_price("NSE", "INFY", 1400, volume=4)
        await sim.set_price("NSE", "INFY", 1400)
        await until(lambda: "COMPLETE" in listener.statuses(order_id), "the order is complete")

        assert listener.statuses(order_id) == ["OPEN", "UPDATE", "COMPLETE"]
        assert [update["filled_quantity"] for update in listener.updates] == [0, 4, 10]
        assert [update["unfilled_quantity"] for update in listener.updates] == [10, 6, 0]
        assert {update["checksum"] for update in listener.updates} == {""}


@pytest.mark.parametrize(
    ("fault", "heard"),
    [
        ("update-lost", ["COMPLETE"]),
        ("update-duplicated", ["OPEN", "OPEN", "COMPLETE"]),
        ("update-reordered", ["COMPLETE", "OPEN"]),
    ],
)
async def test_updates_may_be_lost_doubled_and_reordered(sim: KiteSim, fault: str, heard: list[str]) -> None:
    client = Client.of(sim)
    async with Listener(sim, client.kite.access_token) as listener:
        await listener.connected()
        sim.faults.arm(fault)

        order_id = await client.place()

        await until(lambda: len(listener.statuses(order_id)) == len(heard), f"{heard}")
        assert listener.statuses(order_id) == heard


async def test_a_mute_socket_stays_open_and_silent(sim: KiteSim) -> None:
    client = Client.of(sim)
    sim.faults.arm("socket-mute")
    async with Listener(sim, client.kite.access_token) as mute:
        await mute.connected()
        async with Listener(sim, client.kite.access_token) as sound:
            await sound.connected()
            order_id = await client.place()
            await until(lambda: "COMPLETE" in sound.statuses(order_id), "the other one hears it")
            await until(lambda: HEARTBEAT in sound.payloads, "and a heartbeat")
        assert mute.payloads == []
        assert sim.tickers.connected >= 1

        sim.mute_sockets(muted=False)
        await until(lambda: HEARTBEAT in mute.payloads, "it may speak again")


async def test_a_dropped_socket_is_connected_again_and_what_was_missed_is_gone(sim: KiteSim) -> None:
    client = Client.of(sim)
    async with Listener(sim, client.kite.access_token) as listener:
        await listener.connected()
        assert sim.drop_sockets() == 1
        missed = await client.place(price=1400)

        await until(lambda: listener.connects == 2, "connected again")
        order_id = await client.place()
        await until(lambda: listener.statuses(order_id), "an update")

    assert listener.statuses(missed) == []


async def test_a_dead_token_is_refused_with_403_and_ends_live_sockets(sim: KiteSim) -> None:
    async with Listener(sim, sim.open_session()) as listener:
        await listener.connected()
        sim.expire_session()
        await until(lambda: any("403" in error for error in listener.errors), "the reconnection is refused")
    assert listener.connects == 1


@pytest.mark.parametrize(("fault", "status"), [("socket-forbidden", "403"), ("socket-busy", "429")])
async def test_a_handshake_may_be_refused(sim: KiteSim, fault: str, status: str) -> None:
    sim.faults.arm(fault)
    async with Listener(sim, sim.open_session()) as listener:
        await until(lambda: any(status in error for error in listener.errors), f"refused with {status}")


async def test_a_fourth_connection_is_refused_with_429() -> None:
    async with KiteSim(SimSettings(sockets=1)) as sim:
        token = sim.open_session()
        async with Listener(sim, token) as first, Listener(sim, token) as second:
            await until(lambda: first.connects or second.connects, "one is connected")
            await until(lambda: any("429" in error for error in first.errors + second.errors), "the other is not")


async def test_postbacks_carry_a_checksum_that_holds() -> None:
    async with Postbox() as box, KiteSim(SimSettings(postback_url=box.url, enforce_limits=False)) as posting:
        client = Client.of(posting)
        posting.faults.arm("postback-duplicated")
        order_id = await client.place()
        posting.external_trade("NSE", "INFY", "BUY", 1)  # not of this app: no postback
        await until(lambda: len(box.received) == 2, "the postback, twice")

    assert box.received[0] == box.received[1]
    body = box.received[0]
    assert (body["order_id"], body["status"]) == (order_id, "COMPLETE")
    assert body["checksum"] == checksum(body, posting.settings.api_secret)
    if MOCKS.is_dir():
        expected = set(json.loads((MOCKS / "postback.json").read_text()))
        assert expected - set(body) == set()


async def test_frames_read_as_zerodhas_samples_do(sim: KiteSim) -> None:
    if not MOCKS.is_dir():
        pytest.skip("the samples are not here")
    quote = sim.account.exchange.market.quote(instrument(sim, "NSE:INFY"))
    for mode in ("quote", "full"):
        theirs = base64.b64decode((MOCKS / f"ticker_{mode}.packet").read_text())
        ours = packet(quote, mode)
        assert len(ours) == len(theirs)
        assert shape(parsed(framed(ours))) == shape(parsed(framed(theirs)))
    (ltp,) = parsed(frame([(quote, "ltp")]))
    assert set(ltp) == set(json.loads((MOCKS / "ticker_ltp.json").read_text()))


async def test_an_index_has_packets_of_its_own(sim: KiteSim) -> None:
    await sim.set_price("NSE", "NIFTY 50", "24000")
    await sim.set_price("NSE", "NIFTY 50", "24100.25")
    quote = sim.account.exchange.market.quote(instrument(sim, "NSE:NIFTY 50"))

    (full,) = parsed(frame([(quote, "full")]))
    (brief,) = parsed(frame([(quote, "quote")]))

    assert (full["mode"], brief["mode"], full["tradable"]) == ("full", "quote", False)
    assert full["last_price"] == 24100.25
    assert full["ohlc"] == {"open": 24000.0, "high": 24100.25, "low": 24000.0, "close": 24000.0}
    assert full["exchange_timestamp"] == datetime.fromtimestamp(int(quote.at.timestamp()))  # noqa: DTZ006 - theirs


def framed(one: bytes) -> bytes:
    return struct.pack(">HH", 1, len(one)) + one


def shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    return [shape(each) for each in value] if isinstance(value, list) else type(value)


def checksum(body: dict[str, Any], secret: str) -> str:
    return hashlib.sha256(f"{body['order_id']}{body['order_timestamp']}{secret}".encode()).hexdigest()
