"""Words the workflow tests share: orders that rest, refusals, and surprises in the exchange's book."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from temporalio.api.sdk.v1 import WorkflowMetadata

from activities.messages import OrderStatus
from alphapanda.brokers.paper.faults import PaperFault
from alphapanda.brokers.paper.rehearsal import arm_fault
from alphapanda.domain.calendar import IST, trading_date
from alphapanda.domain.ids import OrderId
from alphapanda.domain.states import OrderState
from alphapanda.domain.vocabulary import OrderType, Side
from tests.rehearsal import PAPER, PATIENCE_S, Rehearsal
from workflows.desk import CommandRefused

S = OrderState

RESTING: dict[str, Any] = {"order_type": OrderType.LIMIT, "price": Decimal("1400.00")}
"""A buy well below the rehearsal's first quote of 1500: it rests until a tick reaches it."""


def claimed(marks: Iterable[pytest.Mark]) -> set[tuple[OrderState, OrderState]]:
    """The transitions named by `exercises` marks, each written "A > B" or as a path "A > B > C"."""
    taken = set()
    for mark in marks:
        for path in mark.args:
            states = [OrderState(name.strip()) for name in path.split(">")]
            taken |= set(pairwise(states))
    return taken


async def resting(desk: Rehearsal, **terms: Any) -> OrderId:
    """An order that rests at the exchange."""
    order = await desk.send(**{**RESTING, **terms})
    await desk.until(order, S.OPEN)
    return order


async def holding(desk: Rehearsal, quantity: int = 10, **terms: Any) -> None:
    """A long position in INFY."""
    await desk.until(await desk.send(quantity=quantity, **terms), S.FILLED)


def sell(quantity: int = 10) -> dict[str, Any]:
    return {"side": Side.SELL, "quantity": quantity}


async def arm(desk: Rehearsal, fault: PaperFault, count: int = 1, **options: Any) -> None:
    """Arm a fault of the exchange; its account is opened by a first look at it."""
    await desk.broker.session()
    await arm_fault(desk.engine, PAPER, fault, count, **options)


async def poison(desk: Rehearsal) -> None:
    """Something no code of ours writes, met by every check of an order: a switch in a position there is none of."""
    await _set_switch(desk, "STUCK")


async def mend(desk: Rehearsal) -> None:
    await _set_switch(desk, "ENABLED")


async def _set_switch(desk: Rehearsal, switch: str) -> None:
    async with desk.engine.begin() as connection:
        await connection.execute(text("UPDATE broker_states SET switch = :switch"), {"switch": switch})


async def refused(command: Awaitable[Any]) -> str:
    """The code with which the command is refused. Fails where it is taken."""
    with pytest.raises(CommandRefused) as caught:
        await command
    return caught.value.refusal_code


async def eventually(what: Callable[[], Awaitable[Any]]) -> Any:
    """The first true answer of `what`, within the patience of all tests."""
    deadline = time.monotonic() + PATIENCE_S
    while not (answer := await what()):
        assert time.monotonic() < deadline, f"never came true: {what}"
        await asyncio.sleep(0.02)
    return answer


async def status(desk: Rehearsal, order: OrderId) -> OrderStatus:
    found = await desk.desk.status(order, timeout_s=10)
    assert found is not None
    return found


async def details(desk: Rehearsal, workflow_id: str) -> str:
    """The current details of a workflow, as the web UI shows them."""
    handle = desk.client.get_workflow_handle(workflow_id)
    metadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    return str(metadata.current_details)


async def at_exchange(desk: Rehearsal, order: OrderId) -> list[Any]:
    """All rows of the exchange's book with the order's tag, hidden ones too."""
    async with desk.engine.connect() as connection:
        query = text("SELECT p.* FROM paper_orders p JOIN orders o USING (broker, tag) WHERE o.order_id = :order")
        return list((await connection.execute(query, {"order": order})).all())


async def edit_book(desk: Rehearsal, order: OrderId, *, traded: int = 0, **columns: Any) -> str:
    """Change the order's row at the exchange behind everybody's back, as a real exchange might; returns its id.

    `traded` adds a trade of that many at 1400 in the same breath.
    """
    (row,) = await at_exchange(desk, order)
    values = {**columns, "number": row.broker_order_id}
    changes = "".join(f", {name} = :{name}" for name in columns)
    async with desk.engine.begin() as connection:
        if traded:
            trade = {"trade": f"{row.broker_order_id}-{traded}", "traded": traded, "now": datetime.now(UTC)}
            await connection.execute(_TRADE, values | trade)
        await connection.execute(
            text(
                "WITH moved AS (UPDATE paper_accounts SET version = version + 1 RETURNING broker, version) "
                f"UPDATE paper_orders o SET version = moved.version{changes} FROM moved "
                "WHERE o.broker = moved.broker AND o.broker_order_id = :number"
            ),
            values,
        )
    return str(row.broker_order_id)


_TRADE = text(
    "INSERT INTO paper_trades (broker, trade_id, broker_order_id, exchange, tradingsymbol, side, product, quantity, "
    "price, charges, traded_at, tick) SELECT broker, :trade, broker_order_id, exchange, tradingsymbol, side, product, "
    ":traded, 1400, 0, :now, '' FROM paper_orders WHERE broker_order_id = :number"
)


async def fill_behind(desk: Rehearsal, order: OrderId, quantity: int, status: str) -> None:
    """A trade the exchange reports late: `quantity` more are filled at 1400, and the row shows `status`."""
    (row,) = await at_exchange(desk, order)
    filled = row.filled_quantity + quantity
    turnover = Decimal(1400) * filled
    await edit_book(desk, order, traded=quantity, status=status, filled_quantity=filled, turnover=turnover)


async def nudge(desk: Rehearsal, order: OrderId) -> None:
    """Tell the watch that the order changed at the exchange, as its update would."""
    (row,) = await at_exchange(desk, order)
    report = await desk.broker.order(row.broker_order_id)
    assert report is not None
    await desk.watch.on_update(report)


def calendar_file(folder: Path, opens: datetime | None) -> Path:
    """A calendar of NSE's cash segment that opens (for the rest of that Indian day) at `opens`; None: in some days."""
    day = trading_date(opens or datetime.now(UTC))
    known = day - timedelta(days=2), day + timedelta(days=30)
    closed = {day + timedelta(days=n) for n in (-1, 0, 1)}
    special = ""
    if opens is not None:
        special = _special(day, f"{opens.astimezone(IST):%H:%M:%S.%f}")
        closed -= {day}
    path = folder / f"calendar-{'closed' if opens is None else 'opens'}.toml"
    path.write_text(
        _LAYOUT.format(*known, holidays="\n".join(f'{each} = "closed"' for each in sorted(closed)), special=special)
    )
    return path


def _special(day: date, opens: str) -> str:
    return (
        f'[[special]]\nreason = "a rehearsal"\ndates = [{day}]\nsegments = ["NSE_EQ"]\n'
        f'sessions = [{{ phase = "CONTINUOUS", opens = {opens}, closes = 23:59:59.999999 }}]\n'
    )


_LAYOUT = """[segments.NSE_EQ]
known_from = {}
known_until = {}
holidays = "nse"
[[segments.NSE_EQ.hours]]
from = 2020-01-01
sessions = [{{ phase = "CONTINUOUS", opens = 09:15:00, closes = 15:30:00 }}]
[holidays.nse]
{holidays}
{special}"""
