"""Rows written straight into the ledger, for lists longer or stranger than a test could trade."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.ledger.models import FillRow, OrderEventRow, OrderRow, PositionRow, SignalRow

START = datetime(2026, 1, 5, 4, 15, tzinfo=UTC)
TERMS: dict[str, Any] = {
    "exchange": "NSE",
    "tradingsymbol": "INFY",
    "side": "BUY",
    "quantity": 10,
    "order_type": "LIMIT",
    "product": "CNC",
    "price": Decimal("1450.05"),
    "trigger_price": None,
    "validity": "DAY",
    "validity_minutes": None,
}


def signal_row(signal_id: str, at: datetime, **facts: Any) -> dict[str, Any]:
    return {
        **TERMS,
        "signal_id": signal_id,
        "strategy_id": "manual",
        "brokers": ["paper"],
        "generated_at": at,
        "expires_at": None,
        "wait_for_open": False,
        "metadata": {},
        "fingerprint": "f",
        "correlation_id": "c",
        "accepted_at": at,
    } | facts


def order_row(signal_id: str, at: datetime, **facts: Any) -> dict[str, Any]:
    broker = facts.get("broker", "paper")
    return {
        **TERMS,
        "order_id": f"{broker}:{signal_id}",
        "signal_id": signal_id,
        "broker": broker,
        "strategy_id": "manual",
        "workflow_id": f"order:{broker}:{signal_id}",
        "correlation_id": "c",
        "state": "FILLED",
        "reason_code": "BROKER_FILLED",
        "reason": "BROKER_FILLED: filled=10/10",
        "seq": 3,
        "filled_quantity": 10,
        "turnover": Decimal("14500.50"),
        "tag": None,
        "broker_order_id": "1",
        "created_at": at,
        "updated_at": at,
        "closed_at": at,
    } | facts


async def write_orders(engine: AsyncEngine, count: int, *, prefix: str = "s", **facts: Any) -> None:
    """`count` signals with an order each, a second apart."""
    await write_many(engine, [(f"{prefix}{n:05d}", START + timedelta(seconds=n)) for n in range(count)], **facts)


async def write_many(engine: AsyncEngine, named: list[tuple[str, datetime]], **facts: Any) -> None:
    brokers = [facts["broker"]] if "broker" in facts else ["paper"]
    async with engine.begin() as connection:
        await connection.execute(insert(SignalRow), [signal_row(name, at, brokers=brokers) for name, at in named])
        await connection.execute(insert(OrderRow), [order_row(name, at, **facts) for name, at in named])


async def write_events(engine: AsyncEngine, order_id: str, count: int) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            insert(OrderEventRow),
            [
                {
                    "order_id": order_id,
                    "seq": n,
                    "broker": order_id.partition(":")[0],
                    "at": START + timedelta(seconds=n),
                    "from_state": None if n == 1 else "OPEN",
                    "to_state": "OPEN",
                    "reason_code": "BROKER_ACCEPTED",
                    "reason": "BROKER_ACCEPTED",
                    "actor": "broker",
                    "correlation_id": "c",
                }
                for n in range(1, count + 1)
            ],
        )


async def write_fills(engine: AsyncEngine, order_id: str, count: int, **facts: Any) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            insert(FillRow),
            [
                {
                    "broker": order_id.partition(":")[0],
                    "trade_id": f"t{n:05d}",
                    "order_id": order_id,
                    "broker_order_id": "1",
                    "strategy_id": "manual",
                    "exchange": "NSE",
                    "tradingsymbol": "INFY",
                    "product": "CNC",
                    "side": "BUY",
                    "quantity": 1,
                    "price": Decimal("1450.05"),
                    "charges": Decimal("1.84"),
                    "charge_items": {"stt": "1.45"},
                    "traded_at": START,
                    "booked_at": START,
                }
                | facts
                for n in range(count)
            ],
        )


async def write_position(engine: AsyncEngine, **facts: Any) -> None:
    row = {
        "broker": "paper",
        "strategy_id": "manual",
        "exchange": "NSE",
        "tradingsymbol": "INFY",
        "product": "CNC",
        "quantity": 10,
        "cost": Decimal("14500.00"),
        "realised": Decimal("0"),
        "charges": Decimal("10.00"),
        "updated_at": START,
    } | facts
    async with engine.begin() as connection:
        await connection.execute(insert(PositionRow), [row])
