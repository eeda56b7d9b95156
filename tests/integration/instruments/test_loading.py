"""Dumps into a real ledger: all or nothing, what is new, what has changed, what has gone, and what is refused."""

import asyncio
import gzip
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from alphapanda.domain.instrument import Instrument
from alphapanda.feed.instruments import cash_equity
from alphapanda.instruments.acceptance import DumpRefused, Rules
from alphapanda.instruments.loading import load_dump
from alphapanda.ledger.engine import LedgerEngine
from alphapanda.ledger.instrument_loads import LoadRecord, load_history
from alphapanda.ledger.instruments import find_instrument, save_instruments
from alphapanda.ledger.migrate import downgrade, upgrade
from tests.conftest import SHARED
from tests.dumps import CALL, FUTURE, INDEX, SHARE, csv_of, share, shares

TODAY = date(2026, 11, 20)
TOMORROW = TODAY + timedelta(days=1)
NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


async def load(engine: LedgerEngine, data: bytes, as_of: date = TODAY, **how: Any) -> LoadRecord:
    return await load_dump(
        engine, data, as_of=as_of, source="zerodha", origin="a test", actor="tester", now=NOW, **how
    )  # fmt: skip


async def known(engine: LedgerEngine, symbol: str, exchange: str = "NSE") -> Instrument:
    found = await find_instrument(engine, exchange, symbol)
    assert found is not None
    return found


async def test_a_dump_is_loaded_with_what_it_says_of_each_instrument(ledger_engine: LedgerEngine) -> None:
    record = await load(ledger_engine, csv_of(SHARE, FUTURE, CALL, INDEX))
    assert (record.accepted, record.added, record.changed, record.withdrawn, record.refused) == (4, 4, 0, 0, 0)
    assert (record.outcome, record.exchanges) == ("LOADED", ["NFO", "NSE"])
    call = await known(ledger_engine, "INFY26NOV1500CE", "NFO")
    assert (call.tick_size, call.lot_size, call.strike) == (Decimal("0.05"), 400, Decimal(1500))
    assert (call.expiry, call.segment, call.dump_date) == (date(2026, 11, 24), "NSE_FNO", TODAY)
    assert (await known(ledger_engine, "NIFTY 50")).instrument_type == "INDEX"


async def test_a_share_with_derivatives_keeps_their_hours_whichever_file_came_first(
    ledger_engine: LedgerEngine,
) -> None:
    await load(ledger_engine, csv_of(SHARE, share("ALONE", 7)))
    assert (await known(ledger_engine, "INFY")).segment == "NSE_EQ"
    await load(ledger_engine, csv_of(FUTURE))
    assert (await known(ledger_engine, "INFY")).segment == "NSE_EQ_FNO"
    await load(ledger_engine, csv_of(SHARE, share("ALONE", 7)))
    assert (await known(ledger_engine, "INFY")).segment == "NSE_EQ_FNO"
    assert (await known(ledger_engine, "ALONE")).segment == "NSE_EQ"


async def test_the_next_dump_tells_what_changed_and_what_has_gone_stays_known(ledger_engine: LedgerEngine) -> None:
    many = shares(10)
    await load(ledger_engine, csv_of(*many))
    record = await load(ledger_engine, csv_of(many[0] | {"tick_size": "0.5"}, *many[2:], share("NEW", 9)), TOMORROW)
    assert (record.added, record.changed, record.withdrawn) == (1, 1, 1)
    assert (await known(ledger_engine, "S0000")).tick_size == Decimal("0.5")
    gone = await known(ledger_engine, "S0001")
    assert (gone.withdrawn_on, gone.dump_date) == (TOMORROW, TODAY)
    assert (await known(ledger_engine, "S0002")).dump_date == TOMORROW


async def test_what_comes_back_is_tradable_again(ledger_engine: LedgerEngine) -> None:
    many = shares(10)
    for rows in (many, many[1:], many):
        await load(ledger_engine, csv_of(*rows))
    assert (await known(ledger_engine, "S0000")).withdrawn_on is None


async def test_a_dump_of_one_exchange_leaves_the_others_alone(ledger_engine: LedgerEngine) -> None:
    await load(ledger_engine, csv_of(SHARE, FUTURE))
    record = await load(ledger_engine, csv_of(SHARE), TOMORROW)
    assert record.withdrawn == 0
    assert (await known(ledger_engine, "INFY26NOVFUT", "NFO")).withdrawn_on is None


async def test_what_a_source_made_up_is_replaced_and_otherwise_left(ledger_engine: LedgerEngine) -> None:
    async with ledger_engine.begin() as connection:
        made_up = [cash_equity("INFY"), cash_equity("MADEUP")]
        await save_instruments(connection, made_up, source="simulator", as_of=TODAY)
    await load(ledger_engine, csv_of(SHARE))
    assert (await known(ledger_engine, "INFY")).instrument_token == 408065
    left = await known(ledger_engine, "MADEUP")
    assert (left.dump_date, left.withdrawn_on) == (None, None)
    async with ledger_engine.begin() as connection:
        await save_instruments(connection, made_up, source="simulator", as_of=TODAY, replace=False)
    assert (await known(ledger_engine, "INFY")).tick_size == Decimal("0.1")


async def test_bad_rows_are_told_of_and_the_others_are_loaded(ledger_engine: LedgerEngine) -> None:
    bad = [share("BAD", 77, tick_size="0"), share("WORSE", 78, lot_size="-1"), share("X", 79, exchange="NSEIX")]
    record = await load(ledger_engine, csv_of(*shares(10), *bad))
    assert (record.accepted, record.refused, record.skipped) == (10, 2, 1)
    assert [(each["rule"], each["rows"]) for each in record.report["refused"]] == [("tick_size", 1), ("lot_size", 1)]
    assert record.report["refused"][0]["examples"] == [
        {"line": 12, "instrument": "NSE:BAD", "detail": "'0'; above 0"}
    ]  # fmt: skip
    assert record.report["skipped"] == {"NSEIX": 1}
    assert await find_instrument(ledger_engine, "NSE", "BAD") is None


@pytest.mark.parametrize(
    ("data", "as_of", "why"),
    [
        (lambda: csv_of(*shares(7)), TOMORROW, "it has shrunk: 7 instruments of NSE, where 10 are loaded"),
        (lambda: csv_of(*shares(10)), TODAY - timedelta(days=1), "it is of 2026-11-19, and one of 2026-11-20"),
        (lambda: csv_of(*shares(10), *[share(f"B{n}", 0) for n in range(3)]), TOMORROW, "3 of 13 rows are bad"),
        (csv_of, TOMORROW, "none of its 0 rows can be used"),
    ],
    ids=["shrunk", "older", "mostly bad", "empty"],
)
async def test_a_dump_that_cannot_be_right_is_refused_as_a_whole(
    ledger_engine: LedgerEngine, data: Callable[[], bytes], as_of: date, why: str
) -> None:
    await load(ledger_engine, csv_of(*shares(10)))
    with pytest.raises(DumpRefused, match=why):
        await load(ledger_engine, data(), as_of)
    assert (await known(ledger_engine, "S0009")).dump_date == TODAY
    newest, first = await load_history(ledger_engine, limit=10)
    assert (newest.outcome, first.outcome) == ("REFUSED", "LOADED")
    assert why in newest.detail


async def test_a_person_may_load_what_has_shrunk_but_not_what_is_bad(ledger_engine: LedgerEngine) -> None:
    await load(ledger_engine, csv_of(*shares(10)))
    record = await load(ledger_engine, csv_of(*shares(3)), rules=Rules(anyway=True))
    assert record.withdrawn == 7
    with pytest.raises(DumpRefused, match="bad"):
        await load(ledger_engine, csv_of(*shares(3), share("B", 0)), rules=Rules(anyway=True))


async def test_a_whole_dump_must_not_lack_an_exchange(ledger_engine: LedgerEngine) -> None:
    await load(ledger_engine, csv_of(SHARE, FUTURE))
    with pytest.raises(DumpRefused, match="0 instruments of NFO, where 1 are loaded"):
        await load(ledger_engine, csv_of(SHARE), rules=Rules(whole=True))


async def test_contracts_that_expired_are_not_missed(ledger_engine: LedgerEngine) -> None:
    """After an expiry the dump is smaller by right, and what expired is marked like all that has gone."""
    calls = [CALL | {"instrument_token": 900 + n, "tradingsymbol": f"INFY26NOV{n}CE"} for n in range(10)]
    later = FUTURE | {"tradingsymbol": "INFY26DECFUT", "expiry": "2026-12-29", "instrument_token": 5}
    await load(ledger_engine, csv_of(*calls, later))
    record = await load(ledger_engine, csv_of(later), date(2026, 11, 25))
    assert record.withdrawn == 10
    assert (await known(ledger_engine, "INFY26NOV1CE", "NFO")).withdrawn_on == date(2026, 11, 25)


async def test_readers_see_all_of_the_old_dump_or_all_of_the_new(ledger_engine: LedgerEngine) -> None:
    many = shares(3000)
    await load(ledger_engine, csv_of(*many))
    done, seen = asyncio.Event(), set()

    async def read() -> None:
        while not done.is_set():
            async with ledger_engine.connect() as connection:
                rows = await connection.execute(text("SELECT DISTINCT tick_size, withdrawn_on FROM instruments"))
                seen.add(frozenset((str(row.tick_size.normalize()), row.withdrawn_on) for row in rows))

    reading = asyncio.create_task(read())
    await load(ledger_engine, csv_of(*(row | {"tick_size": "0.5"} for row in many)), TOMORROW)
    done.set()
    await reading
    assert seen <= {frozenset({("0.1", None)}), frozenset({("0.5", None)})}


async def test_loads_that_race_each_other_and_a_simulator_all_end(ledger_engine: LedgerEngine) -> None:
    async def simulator() -> None:
        async with ledger_engine.begin() as connection:
            made_up = [cash_equity(f"S{n:04d}") for n in reversed(range(500))]
            await save_instruments(connection, made_up, source="simulator", as_of=TODAY, replace=False)

    data = csv_of(*shares(500))
    await asyncio.gather(load(ledger_engine, data), simulator(), load(ledger_engine, data), simulator())
    assert [each.outcome for each in await load_history(ledger_engine, limit=10)] == ["LOADED", "LOADED"]
    assert (await known(ledger_engine, "S0499")).dump_date == TODAY


async def test_a_load_that_is_cut_off_changes_nothing(ledger_engine: LedgerEngine) -> None:
    await load(ledger_engine, csv_of(*shares(10)))
    reached = asyncio.Event()

    def cut(step: str, _done: int, _of: int | None) -> None:
        if step == "replace instruments":
            reached.set()
            raise ConnectionAbortedError

    with pytest.raises(Exception, match="ConnectionAbortedError"):
        await load(ledger_engine, csv_of(*shares(10, prefix="T")), TOMORROW, progress=cut)
    assert reached.is_set()
    assert len(await load_history(ledger_engine, limit=10)) == 1
    assert await find_instrument(ledger_engine, "NSE", "T0001") is None


@pytest.mark.skipif(not (SHARED / "data" / "instruments").exists(), reason="the real dumps are not here")
async def test_the_real_dumps_load_without_a_refusal(ledger_engine: LedgerEngine) -> None:
    day = date(2026, 8, 18)
    for name in ("kite_NSE", "kite_NFO_BFO"):
        data = gzip.decompress((SHARED / "data" / "instruments" / f"{name}.csv.gz").read_bytes())
        began = time.perf_counter()
        record = await load(ledger_engine, data, day)
        print(f"{name}: {record.accepted} instruments in {time.perf_counter() - began:.2f} s")
        assert (record.refused, record.added) == (0, record.accepted)
    reliance = await known(ledger_engine, "RELIANCE")
    assert (reliance.segment, reliance.tick_size, reliance.lot_size) == ("NSE_EQ_FNO", Decimal("0.1"), 1)
    assert (await known(ledger_engine, "NIFTY26AUGFUT", "NFO")).lot_size == 65


async def test_a_schema_that_cannot_say_what_has_gone_does_not_bring_it_back(
    ledger_engine: LedgerEngine, ledger_url: str
) -> None:
    await load(ledger_engine, csv_of(*shares(10)))
    await load(ledger_engine, csv_of(*shares(9)), TOMORROW)
    await downgrade(ledger_url, "0002")
    async with ledger_engine.connect() as connection:
        assert await connection.scalar(text("SELECT count(*) FROM instruments")) == 9
    await upgrade(ledger_url)
    assert (await known(ledger_engine, "S0000")).dump_date is None
    assert await load_history(ledger_engine, limit=1) == ()
