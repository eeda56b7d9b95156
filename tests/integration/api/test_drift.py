"""Drift and trades of others, as the API shows them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
from redis.asyncio import Redis

from alphapanda.domain.execution import TradeReport
from alphapanda.domain.ids import EXTERNAL, Broker
from alphapanda.domain.vocabulary import Exchange, Product, Side
from alphapanda.ledger.brokers import register_brokers
from alphapanda.ledger.drift import note_drift
from alphapanda.ledger.engine import LedgerEngine
from alphapanda.ledger.external import book_external
from alphapanda.live.reconciled import write_reconciled
from alphapanda.reconciliation.outcome import DriftKind, Finding, Outcome
from tests.unit.reconciliation.books import LOST, broker

PAPER = Broker("paper")
NOW = datetime.now(UTC)
DRIFT = "/api/v1/brokers/paper/drift"


def finding(key: str, kind: DriftKind = DriftKind.POSITION_QUANTITY) -> Finding:
    return Finding(kind, key, f"{key}: the broker has 65, the ledger 130", {"broker": 65, "ledger": 130})


def outcome(*findings: Finding) -> Outcome:
    return Outcome(findings, judged=frozenset(DriftKind))


async def noted(engine: LedgerEngine, *findings: Finding, minutes: int = 0) -> None:
    await note_drift(engine, PAPER, findings, outcome(*findings), now=NOW + timedelta(minutes=minutes))


async def get(api: httpx.AsyncClient, path: str) -> dict[str, Any]:
    answer = await api.get(path)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_drift_shows_what_stands_newest_first_and_what_is_gone_when_asked(
    api: httpx.AsyncClient, ledger_engine: LedgerEngine
) -> None:
    old, new = finding("NFO:OLD:NRML"), finding("NFO:NEW:NRML")
    await noted(ledger_engine, old)
    await noted(ledger_engine, old, new, minutes=1)
    found = await get(api, DRIFT)
    assert [item["key"] for item in found["items"]] == ["NFO:NEW:NRML", "NFO:OLD:NRML"]
    assert found["items"][1]["meaning"] == DriftKind.POSITION_QUANTITY.meaning
    assert found["items"][1]["evidence"] == {"broker": 65, "ledger": 130}
    assert found["items"][1]["seen_at"] > found["items"][1]["found_at"]
    await noted(ledger_engine, new, minutes=2)
    assert [item["key"] for item in (await get(api, DRIFT))["items"]] == ["NFO:NEW:NRML"]
    everything = (await get(api, f"{DRIFT}?open=false"))["items"]
    assert [(item["key"], item["cleared_at"] is None) for item in everything] == [
        ("NFO:NEW:NRML", True),
        ("NFO:OLD:NRML", False),
    ]


async def test_pages_of_drift_keep_their_place(api: httpx.AsyncClient, ledger_engine: LedgerEngine) -> None:
    await noted(ledger_engine, *(finding(f"NFO:F{n}:NRML") for n in range(5)))
    first = await get(api, f"{DRIFT}?limit=3")
    rest = await get(api, f"{DRIFT}?limit=3&cursor={first['next_cursor']}")
    assert len({item["key"] for item in first["items"] + rest["items"]}) == 5
    assert rest["next_cursor"] is None


async def test_drift_of_one_broker_is_not_shown_at_another(api: httpx.AsyncClient, ledger_engine: LedgerEngine) -> None:
    await note_drift(ledger_engine, Broker("zerodha"), [finding("NFO:X:NRML")], outcome(finding("NFO:X:NRML")), now=NOW)
    await noted(ledger_engine)  # paper has none, and settles none of the other's
    assert (await get(api, DRIFT))["items"] == []
    assert (await api.get("/api/v1/brokers/zerodha/drift")).status_code == 404


async def test_the_last_run_says_what_it_could_not_read(api: httpx.AsyncClient, redis: "Redis") -> None:
    assert (await get(api, DRIFT))["reconciled"] is None
    await write_reconciled(redis, PAPER, broker(holdings=LOST), at=NOW)
    told = (await get(api, DRIFT))["reconciled"]
    assert (told["unread"], told["cash"]) == ({"holdings": LOST.reason}, "1.00")
    await write_reconciled(redis, PAPER, broker(margins=LOST), at=NOW)
    assert (await get(api, DRIFT))["reconciled"]["cash"] is None


async def test_trades_of_others_show_as_fills_without_an_order_and_positions_of_external(
    api: httpx.AsyncClient, ledger_engine: LedgerEngine
) -> None:
    await register_brokers(ledger_engine, [PAPER], now=NOW)
    trade = TradeReport(
        trade_id="T1", broker_order_id="N1", exchange=Exchange.NSE, tradingsymbol="INFY", side=Side.BUY,
        product=Product.MIS, quantity=10, price=Decimal(1500), traded_at=NOW,
    )  # fmt: skip
    await book_external(ledger_engine, PAPER, [trade], now=NOW, charge=lambda *_: None)
    (fill,) = (await get(api, "/api/v1/fills"))["items"]
    assert (fill["order_id"], fill["strategy_id"], fill["quantity"]) == (None, EXTERNAL, 10)
    (position,) = (await get(api, "/api/v1/positions?by=strategy&strategy_id=EXTERNAL"))["items"]
    assert (position["strategy_id"], position["quantity"], position["average_price"]) == (EXTERNAL, 10, "1500.00")
    (total,) = (await get(api, "/api/v1/positions"))["items"]
    assert total["quantity"] == 10
