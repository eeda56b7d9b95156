"""The broker's process fetches the day's dump by itself: once a session, after eight, as soon as somebody logs in."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from alphapanda.brokers.protocol import NotAuthenticated
from alphapanda.domain.calendar import Calendar
from alphapanda.domain.ids import Broker
from alphapanda.kitesim.calls import Call
from alphapanda.kitesim.server import KiteSim
from alphapanda.kitesim.settings import SimSettings
from alphapanda.ledger.engine import LedgerEngine
from alphapanda.ledger.instrument_loads import load_history
from alphapanda.sessions.tokens import TokenStore
from alphapanda.sessions.vault import Vault
from alphapanda.settings import Settings
from workers.instruments import DailyDump

ZERODHA = Broker("zerodha")
CALENDAR = Calendar.packaged()


class Clock:
    """A Friday, 20 November 2026, at an Indian hour."""

    def __init__(self) -> None:
        self.at(20, 9)

    def at(self, day: int, hour: int) -> None:
        self.now = datetime.fromisoformat(f"2026-11-{day}T{hour:02}:00+05:30").astimezone(UTC)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def sim() -> AsyncIterator[KiteSim]:
    async with KiteSim(SimSettings()) as running:
        yield running


@pytest.fixture
def settings(tmp_path: Path, sim: KiteSim) -> Settings:
    account: dict[str, Any] = {
        "api_root": sim.url, "ticker_root": sim.ws_url, "login_root": sim.url,
        "api_key": sim.settings.api_key, "api_secret": sim.settings.api_secret,
    }  # fmt: skip
    return Settings.load(_env_file=None, data_dir=tmp_path, active_brokers=["zerodha"], zerodha=account)


@pytest.fixture
def daily(settings: Settings, ledger_engine: LedgerEngine, redis: "Redis", clock: Clock) -> DailyDump:
    return DailyDump(ZERODHA, settings, ledger_engine, redis, calendar=CALENDAR, now=lambda: clock.now)


async def log_in(settings: Settings, engine: LedgerEngine, sim: KiteSim) -> None:
    token = sim.open_session()
    await TokenStore(engine, Vault.open(settings)).write(ZERODHA, token, "XX0000", at=datetime.now(UTC))


async def test_it_is_loaded_once_a_session(
    daily: DailyDump, settings: Settings, ledger_engine: LedgerEngine, sim: KiteSim, clock: Clock
) -> None:
    await log_in(settings, ledger_engine, sim)
    loaded = await daily.refresh(CALENDAR)
    assert loaded is not None
    assert (loaded.as_of, loaded.actor, loaded.source) == (date(2026, 11, 20), "broker-zerodha", "kite-sim")
    assert await daily.refresh(CALENDAR) is None
    clock.at(22, 12)  # a Sunday
    assert await daily.refresh(CALENDAR) is None
    clock.at(23, 7)
    assert await daily.refresh(CALENDAR) is None
    clock.at(23, 8)
    monday = await daily.refresh(CALENDAR)
    assert monday is not None
    assert monday.as_of == date(2026, 11, 23)


async def test_it_waits_for_a_login(
    daily: DailyDump, settings: Settings, ledger_engine: LedgerEngine, sim: KiteSim
) -> None:
    with pytest.raises(NotAuthenticated):
        await daily.refresh(CALENDAR)
    assert sim.account.requests[Call.INSTRUMENTS] == 0
    await log_in(settings, ledger_engine, sim)
    assert await daily.refresh(CALENDAR) is not None
    assert sim.account.requests[Call.INSTRUMENTS] == 1


async def test_it_is_kept_until_the_process_is_told_to_stop(
    daily: DailyDump, settings: Settings, ledger_engine: LedgerEngine, sim: KiteSim
) -> None:
    await log_in(settings, ledger_engine, sim)
    stop = asyncio.Event()
    keeping = asyncio.create_task(daily.keep(stop))
    async with asyncio.timeout(30):
        while not await load_history(ledger_engine, limit=1):
            await asyncio.sleep(0.05)
        stop.set()
        await keeping


async def test_a_failure_is_told_with_the_age_of_what_is_loaded_and_ends_nothing(daily: DailyDump) -> None:
    stop = asyncio.Event()
    with capture_logs() as said:
        keeping = asyncio.create_task(daily.keep(stop))
        async with asyncio.timeout(30):
            while not said:
                await asyncio.sleep(0.05)
            assert not keeping.done()
            stop.set()
            await keeping
    (line,) = said
    assert line["event"] == "the day's instrument dump waits for a login"
    assert line["loaded"] == "no instrument dump was ever loaded"
    assert "alphapanda instruments load" in line["next_action"]


@pytest.mark.parametrize(("broker", "calendar"), [("paper", CALENDAR), ("zerodha", None)])
async def test_paper_and_rehearsals_fetch_nothing_by_themselves(
    settings: Settings, ledger_engine: LedgerEngine, redis: "Redis", broker: str, calendar: Calendar | None
) -> None:
    other = DailyDump(Broker(broker), settings, ledger_engine, redis, calendar=calendar)
    async with asyncio.timeout(30):
        await other.keep(asyncio.Event())
    assert await load_history(ledger_engine, limit=1) == ()
