"""Lists: filters, cursors that keep their place, exact figures."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.live.quotes import Tick, publish
from tests.integration.api.rows import START, write_events, write_fills, write_many, write_orders, write_position


async def items(api: httpx.AsyncClient, path: str) -> list[dict[str, Any]]:
    answer = await api.get(path)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def pages(api: httpx.AsyncClient, path: str) -> list[list[dict[str, Any]]]:
    """All pages, walked by cursor."""
    found, cursor = [], None
    while True:
        answer = await api.get(f"{path}&cursor={cursor}" if cursor else path)
        assert answer.status_code == 200, answer.text
        found.append(answer.json()["items"])
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            return found


async def test_orders_come_newest_first_in_full_pages_that_end(
    api: httpx.AsyncClient, ledger_engine: AsyncEngine
) -> None:
    await write_orders(ledger_engine, 25)
    found = await pages(api, "/api/v1/orders?limit=10")
    assert [len(page) for page in found] == [10, 10, 5]
    ids = [order["order_id"] for page in found for order in page]
    assert ids == [f"paper:s{n:05d}" for n in reversed(range(25))]


async def test_a_last_page_that_is_full_has_no_cursor(api: httpx.AsyncClient, ledger_engine: AsyncEngine) -> None:
    await write_orders(ledger_engine, 10)
    assert [len(page) for page in await pages(api, "/api/v1/orders?limit=10")] == [10]


async def test_a_cursor_keeps_its_place_while_new_orders_arrive(
    api: httpx.AsyncClient, ledger_engine: AsyncEngine
) -> None:
    await write_orders(ledger_engine, 6)
    first = (await api.get("/api/v1/orders?limit=3")).json()
    await write_many(ledger_engine, [("later", START + timedelta(hours=1))])
    second = await items(api, f"/api/v1/orders?limit=3&cursor={first['next_cursor']}")
    assert [order["signal_id"] for order in second] == ["s00002", "s00001", "s00000"]


async def test_orders_of_the_same_instant_are_each_listed_once(
    api: httpx.AsyncClient, ledger_engine: AsyncEngine
) -> None:
    await write_many(ledger_engine, [(f"s{n}", START) for n in range(7)])
    ids = [order["order_id"] for page in await pages(api, "/api/v1/orders?limit=2") for order in page]
    assert len(ids) == len(set(ids)) == 7


async def test_orders_are_filtered_by_state_strategy_and_symbol(
    api: httpx.AsyncClient, ledger_engine: AsyncEngine
) -> None:
    await write_orders(ledger_engine, 2, prefix="a", state="OPEN", strategy_id="one")
    await write_orders(ledger_engine, 3, prefix="b", state="PARKED", tradingsymbol="TCS")
    await write_orders(ledger_engine, 4, prefix="c")
    assert len(await items(api, "/api/v1/orders?state=OPEN")) == 2
    assert len(await items(api, "/api/v1/orders?state=OPEN&state=PARKED")) == 5
    assert len(await items(api, "/api/v1/orders?strategy_id=one")) == 2
    assert len(await items(api, "/api/v1/orders?tradingsymbol=TCS&state=PARKED")) == 3
    assert len(await items(api, "/api/v1/orders?broker=paper")) == 9


async def test_orders_signals_and_fills_of_an_inactive_broker_are_not_shown(
    api: httpx.AsyncClient, ledger_engine: AsyncEngine
) -> None:
    await write_orders(ledger_engine, 2, prefix="z", broker="zerodha")
    await write_fills(ledger_engine, "zerodha:z00000", 2)
    await write_position(ledger_engine, broker="zerodha")
    for path in ("orders", "signals", "fills", "positions"):
        assert await items(api, f"/api/v1/{path}") == []
    assert (await api.get("/api/v1/signals/z00000")).status_code == 404


async def test_an_order_has_all_its_facts_exact_and_in_utc(api: httpx.AsyncClient, ledger_engine: AsyncEngine) -> None:
    await write_orders(ledger_engine, 1)
    order = (await items(api, "/api/v1/orders"))[0]
    assert order["price"] == "1450.05"
    assert order["average_price"] == "1450.05"
    assert order["created_at"] == "2026-01-05T04:15:00Z"
    assert order["reason"] == "BROKER_FILLED: filled=10/10"
    assert order["workflow_id"] == "order:paper:s00000"


async def test_an_ended_order_is_shown_from_the_ledger_with_its_next_step(
    api: httpx.AsyncClient, ledger_engine: AsyncEngine
) -> None:
    await write_orders(ledger_engine, 1)
    order = (await api.get("/api/v1/orders/paper:s00000")).json()
    assert order["live"] is False
    assert order["next_step"] == "Nothing: it has ended."


async def test_an_orders_events_are_its_story_oldest_first(api: httpx.AsyncClient, ledger_engine: AsyncEngine) -> None:
    await write_orders(ledger_engine, 1)
    await write_events(ledger_engine, "paper:s00000", 5)
    found = await pages(api, "/api/v1/orders/paper:s00000/events?limit=2")
    assert [event["seq"] for page in found for event in page] == [1, 2, 3, 4, 5]


async def test_fills_are_listed_once_each_with_their_charges(
    api: httpx.AsyncClient, ledger_engine: AsyncEngine
) -> None:
    await write_orders(ledger_engine, 1)
    await write_fills(ledger_engine, "paper:s00000", 5)
    found = [fill for page in await pages(api, "/api/v1/fills?limit=2") for fill in page]
    assert len({fill["trade_id"] for fill in found}) == 5
    assert found[0]["charges"] == "1.84"
    assert found[0]["charge_items"] == {"stt": "1.45"}
    assert await items(api, "/api/v1/fills?order_id=paper:other") == []


async def test_unknown_charges_are_null_not_zero(api: httpx.AsyncClient, ledger_engine: AsyncEngine) -> None:
    await write_orders(ledger_engine, 1)
    await write_fills(ledger_engine, "paper:s00000", 1, charges=None, charge_items=None)
    assert (await items(api, "/api/v1/fills"))[0]["charges"] is None


async def test_a_cursor_of_another_list_is_refused(api: httpx.AsyncClient, ledger_engine: AsyncEngine) -> None:
    await write_orders(ledger_engine, 3)
    cursor = (await api.get("/api/v1/orders?limit=1")).json()["next_cursor"]
    answer = await api.get(f"/api/v1/fills?cursor={cursor}")
    assert answer.status_code == 422
    assert answer.json()["code"] == "CURSOR_INVALID"


async def test_signals_show_their_orders_states(api: httpx.AsyncClient, ledger_engine: AsyncEngine) -> None:
    await write_orders(ledger_engine, 3, state="OPEN")
    found = [signal for page in await pages(api, "/api/v1/signals?limit=2") for signal in page]
    assert [signal["signal_id"] for signal in found] == ["s00002", "s00001", "s00000"]
    assert found[0]["orders"][0]["state"] == "OPEN"
    assert (await api.get("/api/v1/signals/s00001")).json()["orders"][0]["order_id"] == "paper:s00001"


async def quote(redis: "Redis", price: float, symbol: str = "INFY") -> None:
    await publish(redis, [Tick(f"NSE:{symbol}", price, 1_767_586_500.0, 1_767_586_500.0)])


async def test_positions_add_up_over_strategies_and_are_marked_at_the_last_quote(
    api: httpx.AsyncClient, ledger_engine: AsyncEngine, redis: "Redis"
) -> None:
    await write_position(ledger_engine, strategy_id="one", quantity=10, cost=Decimal(14500))
    await write_position(ledger_engine, strategy_id="two", quantity=5, cost=Decimal(7300), realised=Decimal("3.10"))
    await quote(redis, 1460.05)
    (position,) = await items(api, "/api/v1/positions")
    assert position["quantity"] == 15
    assert position["average_price"] == "1453.3333"
    assert position["last_price"] == "1460.05"
    assert Decimal(position["unrealised"]) == Decimal("1460.05") * 15 - 21800
    assert position["realised"] == "3.10"
    assert position["strategy_id"] is None
    by_strategy = await items(api, "/api/v1/positions?by=strategy")
    assert [(row["strategy_id"], row["quantity"]) for row in by_strategy] == [("one", 10), ("two", 5)]


async def test_without_a_quote_a_position_says_that_its_value_is_unknown(
    api: httpx.AsyncClient, ledger_engine: AsyncEngine, redis: "Redis"
) -> None:
    await write_position(ledger_engine)
    await write_position(ledger_engine, tradingsymbol="TCS", quantity=0, cost=Decimal(0), realised=Decimal(50))
    open_position, closed = await items(api, "/api/v1/positions")
    assert open_position["last_price"] is None
    assert open_position["unrealised"] is None
    assert Decimal(closed["unrealised"]) == 0
    assert [row["tradingsymbol"] for row in await items(api, "/api/v1/positions?open_only=true")] == ["INFY"]
    (pnl,) = await items(api, "/api/v1/pnl")
    assert pnl["unrealised"] is None
    assert pnl["net"] is None
    assert pnl["realised"] == "50.00"
    assert pnl["instruments_without_price"] == ["NSE:INFY"]


async def test_positions_are_walked_page_by_page(
    api: httpx.AsyncClient, ledger_engine: AsyncEngine, redis: "Redis"
) -> None:
    for symbol in ("A", "B", "C"):
        await write_position(ledger_engine, tradingsymbol=symbol, strategy_id="one")
        await write_position(ledger_engine, tradingsymbol=symbol, strategy_id="two")
    found = await pages(api, "/api/v1/positions?limit=2")
    assert [row["tradingsymbol"] for page in found for row in page] == ["A", "B", "C"]
    by_strategy = await pages(api, "/api/v1/positions?limit=4&by=strategy")
    assert [len(page) for page in by_strategy] == [4, 2]


async def test_a_portfolio_sums_profit_exposure_and_what_is_on_its_way(
    api: httpx.AsyncClient, ledger_engine: AsyncEngine, redis: "Redis"
) -> None:
    await write_position(ledger_engine, quantity=10, cost=Decimal(14500))
    await write_position(ledger_engine, tradingsymbol="TCS", quantity=-2, cost=Decimal(-7000))
    await write_orders(ledger_engine, 2, prefix="o", state="OPEN")
    await write_orders(ledger_engine, 2, prefix="f")
    await quote(redis, 1460.0)
    await quote(redis, 3400.0, "TCS")
    (portfolio,) = await items(api, "/api/v1/portfolios")
    assert portfolio["broker"] == "paper"
    assert portfolio["open_positions"] == 2
    assert portfolio["long_value"] == "14600.00"
    assert portfolio["short_value"] == "6800.00"
    assert portfolio["unrealised"] == "300.00"
    assert portfolio["charges"] == "20.00"
    assert portfolio["net"] == "280.00"
    assert portfolio["live_orders"] == 2
    (pnl,) = await items(api, "/api/v1/pnl")
    assert pnl["strategies"] == [
        {"strategy_id": "manual", "realised": "0.00", "unrealised": "300.00", "charges": "20.00", "net": "280.00"}
    ]


@pytest.mark.parametrize("query", ["infy", "INFO", "exchange", ""])
async def test_instruments_are_found_by_part_of_symbol_or_name(
    rehearsal: Any, api: httpx.AsyncClient, query: str
) -> None:
    path = "/api/v1/instruments?exchange=NSE" if query == "exchange" else f"/api/v1/instruments?query={query}"
    found = [item["tradingsymbol"] for item in await items(api, path)]
    assert (found == []) if query == "INFO" else ("INFY" in found)


async def test_strategies_are_listed_with_their_parameters(api: httpx.AsyncClient) -> None:
    found = {item["strategy_id"]: item for item in await items(api, "/api/v1/strategies")}
    assert found["sma-cross"]["enabled"] is True
    assert found["sma-cross"]["parameters"]
    assert found["sma-cross"]["description"] == "Long while the fast simple moving average lies above the slow one."
