"""`alphapanda up` as people run it, for tests that trade through its API and read its two sets of books."""

import asyncio
import contextlib
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.ledger.engine import LedgerEngine, create_ledger_engine
from alphapanda.stack import StackEndpoints, read_endpoints
from tests.integration.processes import DEADLINE_S, Program, command, descendants, environment, until_gone

UP = command("alphapanda.cli", "up", "--port", "0", "--ui-port", "0")
READY = "Ctrl-C stops it"

MARKET: dict[str, Any] = {
    "strategy_id": "manual",
    "brokers": ["paper"],
    "exchange": "NSE",
    "tradingsymbol": "INFY",
    "side": "BUY",
    "quantity": 10,
    "order_type": "MARKET",
    "product": "MIS",
}

ENDED = ("FILLED", "CANCELLED", "REJECTED", "EXPIRED", "INVALID", "DENIED", "FAILED")


async def until(condition: Callable[[], Awaitable[bool]], state: Callable[[], Awaitable[object]]) -> float:
    """Polls up to the deadline and fails with `state`; returns the seconds it took."""
    began = time.monotonic()
    while not await condition():
        assert time.monotonic() - began < DEADLINE_S, f"it did not come about in {DEADLINE_S:.0f} s: {await state()}"
        await asyncio.sleep(0.05)
    return time.monotonic() - began


class WholeDesk:
    """One data directory, and the `alphapanda up` that runs on it, if one does."""

    def __init__(self, folder: Path, *options: str, **settings: str) -> None:
        self.data = folder / "data"
        self.program: Program | None = None
        self._folder = folder
        self._options = options
        self.variables = environment(DATA_DIR=str(self.data), **settings)
        self._starts = 0
        self._api: httpx.AsyncClient | None = None
        self._engine: LedgerEngine | None = None

    @property
    def api(self) -> httpx.AsyncClient:
        assert self._api is not None
        return self._api

    @property
    def engine(self) -> LedgerEngine:
        assert self._engine is not None
        return self._engine

    @property
    def endpoints(self) -> StackEndpoints:
        found = read_endpoints(self.data)
        assert found is not None
        return found

    async def start(self) -> None:
        """Until it takes orders. Nothing happens where it runs already."""
        if self.program is not None and self.program.process.poll() is None:
            return
        await self._let_go()
        self._starts += 1
        self.program = Program([*UP, *self._options], self._folder / f"said-{self._starts}", self.variables)
        said = await asyncio.to_thread(self.program.until_it_says, READY)
        found = re.search(r"^  API {2,}(\S+)$", said, re.MULTILINE)
        assert found is not None
        token = (self.data / "admin_token").read_text().strip()
        self._api = httpx.AsyncClient(
            base_url=found[1], headers={"Authorization": f"Bearer {token}"}, timeout=30, trust_env=False
        )
        assert self.endpoints.database_url is not None
        self._engine = create_ledger_engine(self.endpoints.database_url, pool_size=2)

    async def stop(self) -> None:
        """As Ctrl-C does."""
        assert self.program is not None
        assert await asyncio.to_thread(self.program.stop) == 0

    async def close(self) -> None:
        if self.program is not None and self.program.process.poll() is None:
            self.program.process.kill()
            self.program.process.wait()
        await self._let_go()

    async def _let_go(self) -> None:
        if self._api is not None:
            await self._api.aclose()
        if self._engine is not None:
            await self._engine.dispose()
        self._api = self._engine = None

    def processes(self) -> dict[int, str]:
        assert self.program is not None
        return descendants(self.program.pid)

    def pid_of(self, words: str) -> int:
        """Of the one process whose command line contains the words."""
        [pid] = [pid for pid, line in self.processes().items() if words in line]
        return pid

    def kill(self, *modules: str) -> None:
        """SIGKILL to the named processes of ours."""
        for pid in [self.pid_of(f"-m {module}") for module in modules]:
            os.kill(pid, signal.SIGKILL)

    async def kill_all(self) -> None:
        """SIGKILL to `up` itself; returns when nothing of it is left, servers and all."""
        assert self.program is not None
        everything = self.processes()
        self.program.process.kill()
        self.program.process.wait()
        await asyncio.to_thread(until_gone, everything)

    async def ended_by_itself(self) -> tuple[int, str]:
        """Exit status and output, once `up` has ended and nothing of it is left."""
        assert self.program is not None
        everything = self.processes()
        status = await asyncio.to_thread(self.program.ended)
        await asyncio.to_thread(until_gone, everything)
        return status, self.program.output()

    # --- trading -----------------------------------------------------------------------------------------------

    async def post(self, path: str, status: int = 200, **body: Any) -> dict[str, Any]:
        answer = await self.api.post(path, json=body or None)
        assert answer.status_code == status, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def get(self, path: str, **query: Any) -> dict[str, Any]:
        answer = await self.api.get(path, params=query)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def items(self, path: str, **query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (await self.get(path, limit=200, **query))["items"]
        return found

    async def send(self, **terms: Any) -> str:
        """A signal with the given terms over MARKET, accepted; the id of its order."""
        accepted = await self.post("/signals", 202, **{**MARKET, "signal_id": uuid4().hex, **terms})
        order_id: str = accepted["orders"][0]["order_id"]
        return order_id

    async def last_price(self, symbol: str = "INFY") -> Decimal:
        """What the symbol traded at last, learned as any client would: from a position in it."""
        await self.until(await self.send(tradingsymbol=symbol, quantity=1), "FILLED")
        [position, *_] = await self.items("/positions", tradingsymbol=symbol)
        return Decimal(position["last_price"])

    async def rest(self, **terms: Any) -> str:
        """The id of a limit buy that rests well below the market."""
        price = (await self.last_price() * Decimal("0.95")).quantize(Decimal("0.1"))
        order_id = await self.send(order_type="LIMIT", price=str(price), **terms)
        await self.until(order_id, "OPEN")
        return order_id

    async def send_stubbornly(self, **terms: Any) -> str:
        """As `send`, by a client that repeats the same signal until it has an answer, whatever dies meanwhile."""
        body = {**MARKET, "signal_id": uuid4().hex, **terms}
        deadline = time.monotonic() + DEADLINE_S
        while True:
            with contextlib.suppress(httpx.TransportError):
                answer = await self.api.post("/signals", json=body)
                if answer.status_code in (200, 202):
                    return f"paper:{body['signal_id']}"
                assert answer.status_code == 503, answer.text
            assert time.monotonic() < deadline, "no answer"
            await asyncio.sleep(0.2)

    async def order(self, order_id: str) -> dict[str, Any]:
        return await self.get(f"/orders/{order_id}")

    async def path(self, order_id: str) -> list[str]:
        """The states the order went through, oldest first."""
        return [event["to_state"] for event in await self.items(f"/orders/{order_id}/events")]

    async def until(self, order_id: str, *states: str) -> dict[str, Any]:
        """The order, as the API tells it, once it is in one of the states."""

        async def is_there() -> bool:
            return (await self.order(order_id))["state"] in states

        await until(is_there, lambda: self.items(f"/orders/{order_id}/events"))
        return await self.order(order_id)

    # --- the books ---------------------------------------------------------------------------------------------

    async def rows(self, statement: str, **values: Any) -> list[Any]:
        return await rows(self.engine, statement, **values)

    async def scalar(self, statement: str, **values: Any) -> Any:
        return (await self.rows(statement, **values))[0][0]

    async def at_the_exchange(self, order_ids: Iterable[str]) -> int:
        """How many of the orders the exchange's book holds."""
        return int(await self.scalar(_AT_THE_EXCHANGE, ids=list(order_ids)))

    async def all_ended(self, order_ids: Iterable[str], *, or_parked: bool = False) -> float:
        """Waits until the ledger shows the end of each of them, none missing; returns the seconds it took."""
        ids = list(order_ids)
        ended = [*ENDED, *(["PARKED"] if or_parked else [])]

        async def have_ended() -> bool:
            return int(await self.scalar(_ENDED, ids=ids, ended=ended)) == len(ids)

        return await until(have_ended, lambda: self.rows(_NOT_ENDED, ids=ids, ended=ended))


_AT_THE_EXCHANGE = """
SELECT count(*) FROM orders o JOIN paper_orders p USING (broker, tag) WHERE o.order_id = ANY(CAST(:ids AS text[]))
"""
_ENDED = """
SELECT count(*) FROM orders WHERE order_id = ANY(CAST(:ids AS text[])) AND state = ANY(CAST(:ended AS text[]))
"""
_NOT_ENDED = """
SELECT order_id, state, reason FROM orders
WHERE order_id = ANY(CAST(:ids AS text[])) AND state <> ALL(CAST(:ended AS text[]))
"""


async def rows(engine: AsyncEngine, statement: str, **values: Any) -> list[Any]:
    async with engine.connect() as connection:
        return list((await connection.execute(text(statement), values)).all())


@contextlib.asynccontextmanager
async def whole_desk(folder: Path, *options: str, **settings: str) -> AsyncIterator[WholeDesk]:
    """A running desk; killed in the end, whatever state it is in."""
    desk = WholeDesk(folder, *options, **settings)
    try:
        await desk.start()
        yield desk
    finally:
        await desk.close()


# Each finds what differs between the ledger and the exchange, or within the ledger; all are empty when all is well.
DIFFERENCES = {
    "a tag that is in the exchange's book twice": """
        SELECT tag, count(*) FROM paper_orders GROUP BY tag HAVING count(*) > 1
    """,
    "an order of the exchange that the ledger does not know": """
        SELECT p.* FROM paper_orders p LEFT JOIN orders o USING (broker, tag) WHERE o.order_id IS NULL
    """,
    "an order with another number, quantity or outcome than at the exchange": """
        SELECT o.order_id, o.state, o.broker_order_id, p.* FROM orders o JOIN paper_orders p USING (broker, tag)
        WHERE (o.broker_order_id, o.filled_quantity, o.turnover, o.quantity)
            IS DISTINCT FROM (p.broker_order_id, p.filled_quantity, p.turnover, p.quantity)
        OR (o.state = 'FILLED') <> (p.status = 'COMPLETE')
        OR (o.state IN ('OPEN', 'PARTIALLY_FILLED')) <> (p.status IN ('OPEN', 'TRIGGER_PENDING'))
    """,
    "an order that claims to be at the exchange and is not": """
        SELECT o.* FROM orders o LEFT JOIN paper_orders p USING (broker, tag)
        WHERE p.tag IS NULL AND (o.filled_quantity > 0 OR o.state IN ('OPEN', 'PARTIALLY_FILLED', 'FILLED'))
    """,
    "a trade on one side only, or with other facts": """
        SELECT * FROM (SELECT broker, trade_id, broker_order_id, exchange, tradingsymbol, product, side, quantity,
            price, charges, traded_at FROM fills) AS f
        FULL JOIN (SELECT broker, trade_id, broker_order_id, exchange, tradingsymbol, product, side, quantity,
            price, charges, traded_at FROM paper_trades) AS t USING (broker, trade_id)
        WHERE (f.broker_order_id, f.exchange, f.tradingsymbol, f.product, f.side, f.quantity, f.price, f.charges,
            f.traded_at)
        IS DISTINCT FROM (t.broker_order_id, t.exchange, t.tradingsymbol, t.product, t.side, t.quantity, t.price,
            t.charges, t.traded_at)
    """,
    "an order whose fills do not make its filled quantity and turnover": """
        SELECT o.order_id, o.filled_quantity, o.turnover, f.* FROM orders o LEFT JOIN (
            SELECT order_id, sum(quantity) AS quantity, sum(quantity * price) AS turnover FROM fills GROUP BY 1
        ) AS f USING (order_id)
        WHERE (o.filled_quantity, o.turnover) IS DISTINCT FROM (coalesce(f.quantity, 0), coalesce(f.turnover, 0))
    """,
    "a strategy's position that is not the sum of its fills": """
        SELECT * FROM (SELECT broker, strategy_id, exchange, tradingsymbol, product, quantity,
            realised - cost AS cash, charges FROM positions) AS p
        FULL JOIN (SELECT broker, strategy_id, exchange, tradingsymbol, product,
            sum(CASE side WHEN 'BUY' THEN quantity ELSE -quantity END) AS quantity,
            sum(CASE side WHEN 'BUY' THEN -quantity ELSE quantity END * price) AS cash, sum(charges) AS charges
            FROM fills GROUP BY 1, 2, 3, 4, 5) AS f USING (broker, strategy_id, exchange, tradingsymbol, product)
        WHERE (p.quantity, p.cash, p.charges) IS DISTINCT FROM (f.quantity, f.cash, f.charges)
    """,
    "a position that differs from the exchange's": """
        SELECT * FROM (SELECT broker, exchange, tradingsymbol, product, sum(quantity) AS quantity,
            sum(realised - cost) AS cash, sum(charges) AS charges FROM positions GROUP BY 1, 2, 3, 4) AS l
        FULL JOIN (SELECT broker, exchange, tradingsymbol, product, quantity, realised - cost AS cash, charges
            FROM paper_positions) AS p USING (broker, exchange, tradingsymbol, product)
        WHERE (l.quantity, l.cash, l.charges) IS DISTINCT FROM (p.quantity, p.cash, p.charges)
    """,
    "a day that does not add up": """
        SELECT d.*, f.* FROM (SELECT broker, sum(realised) AS realised, sum(charges) AS charges, sum(fills) AS fills
            FROM portfolio_days GROUP BY 1) AS d
        FULL JOIN (SELECT broker, sum(realised) AS realised, sum(charges) AS charges, (SELECT count(*) FROM fills f
            WHERE f.broker = positions.broker) AS fills FROM positions GROUP BY 1) AS f USING (broker)
        WHERE (d.realised, d.charges, d.fills) IS DISTINCT FROM (f.realised, f.charges, f.fills)
    """,
    "exposure still promised to an order that has ended": """
        SELECT r.* FROM reservations r JOIN orders o USING (order_id) WHERE o.closed_at IS NOT NULL
    """,
    "an order whose events have a gap, or end in another state than its own": """
        SELECT o.order_id, o.state, o.seq, e.* FROM orders o LEFT JOIN (
            SELECT order_id, count(*) AS count, max(seq) AS last,
                (array_agg(to_state ORDER BY seq DESC))[1] AS to_state FROM order_events GROUP BY 1
        ) AS e USING (order_id)
        WHERE (o.seq, o.seq, o.state) IS DISTINCT FROM (e.count, e.last, e.to_state)
    """,
}


async def differences(engine: AsyncEngine) -> dict[str, list[Any]]:
    """Where the two sets of books contradict each other or themselves, to the share and the paisa."""
    found = {name: await rows(engine, statement) for name, statement in DIFFERENCES.items()}
    return {name: rows for name, rows in found.items() if rows}
