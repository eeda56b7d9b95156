"""What must not cross between two brokers of one desk, and where to look for it. Each look fails with what it found."""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import httpx
from redis.asyncio import Redis
from temporalio.client import Client

from tests.integration.whole_desk import WholeDesk, until

BROKERS = ("paper", "zerodha")
OTHER = {"paper": "zerodha", "zerodha": "paper"}

_NOBODYS = {"signals", "instruments", "instrument_loads", "alembic_version"}
"""Tables of what is born before the fork, or is market data. A new one without a broker is to be thought about."""

_SECOND_BROKER_TABLES = """
SELECT table_name FROM information_schema.columns
WHERE table_schema = 'public' AND column_name IN ('broker', 'order_id') GROUP BY 1 HAVING count(*) = 2
"""
_TABLES_WITHOUT_BROKER = """
SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' EXCEPT
SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'broker'
"""

# Each finds rows that are where they do not belong; all are empty when nothing has crossed.
CROSSED = {
    "an order whose ids name another broker": """
        SELECT order_id FROM orders WHERE (order_id, workflow_id)
        IS DISTINCT FROM (broker || ':' || signal_id, 'order:' || broker || ':' || signal_id)
    """,
    "a tag at both brokers": """
        SELECT tag FROM orders WHERE tag IS NOT NULL GROUP BY 1 HAVING count(DISTINCT broker) > 1
    """,
    "a fill whose order is at another broker, or has another number there": """
        SELECT f.* FROM fills f JOIN orders o USING (order_id)
        WHERE (f.broker, f.broker_order_id, f.strategy_id) <> (o.broker, o.broker_order_id, o.strategy_id)
    """,
    "a fill that nobody here ordered": "SELECT * FROM fills WHERE order_id IS NULL",
    "an order with more or less than its fills": """
        SELECT o.order_id, o.filled_quantity, sum(f.quantity) FROM orders o LEFT JOIN fills f USING (order_id)
        GROUP BY 1, 2 HAVING o.filled_quantity <> coalesce(sum(f.quantity), 0)
    """,
    "a position that is not the sum of its own broker's fills": """
        SELECT * FROM (SELECT broker, strategy_id, tradingsymbol, product, quantity FROM positions) AS p
        FULL JOIN (SELECT broker, strategy_id, tradingsymbol, product,
            sum(CASE side WHEN 'BUY' THEN quantity ELSE -quantity END) AS net FROM fills GROUP BY 1, 2, 3, 4
        ) AS f USING (broker, strategy_id, tradingsymbol, product) WHERE p.quantity IS DISTINCT FROM f.net
    """,
    "exposure promised to an order of another broker, or to one that has ended": """
        SELECT r.* FROM reservations r JOIN orders o USING (order_id)
        WHERE r.broker <> o.broker OR o.closed_at IS NOT NULL
    """,
    "a row of the paper exchange that is not paper's": """
        SELECT broker FROM paper_accounts WHERE broker <> 'paper' UNION ALL
        SELECT broker FROM paper_orders WHERE broker <> 'paper' UNION ALL
        SELECT broker FROM paper_trades WHERE broker <> 'paper' UNION ALL
        SELECT broker FROM paper_positions WHERE broker <> 'paper'
    """,
    "a fill of paper that its exchange does not know, or the reverse": """
        SELECT * FROM (SELECT trade_id, quantity, price FROM fills WHERE broker = 'paper') AS f
        FULL JOIN (SELECT trade_id, quantity, price FROM paper_trades) AS t USING (trade_id)
        WHERE (f.quantity, f.price) IS DISTINCT FROM (t.quantity, t.price)
    """,
    "an order at the paper exchange that is not one of paper's": """
        SELECT p.* FROM paper_orders p LEFT JOIN orders o ON o.broker = 'paper' AND o.tag = p.tag
        WHERE o.broker_order_id IS DISTINCT FROM p.broker_order_id
    """,
}  # fmt: skip


async def look_in_the_ledger(desk: WholeDesk) -> None:
    for table in await desk.rows(_SECOND_BROKER_TABLES):
        wrong = f"SELECT * FROM {table[0]} WHERE order_id IS NOT NULL AND order_id NOT LIKE broker || ':%'"
        assert await desk.rows(wrong) == [], table
    assert {row[0] for row in await desk.rows(_TABLES_WITHOUT_BROKER)} <= _NOBODYS
    crossed = {name: await desk.rows(statement) for name, statement in CROSSED.items()}
    assert {name: rows for name, rows in crossed.items() if rows} == {}


async def look_at_the_simulator(desk: WholeDesk, sim: httpx.AsyncClient) -> None:
    """Zerodha's rows of the ledger against the truth about the simulated account."""
    truth = (await sim.get("/sim/state")).json()
    orders = {(row.broker_order_id, row.tag) for row in await _of(desk, "zerodha") if row.broker_order_id}
    assert {(row["order_id"], row["tag"]) for row in truth["orders"]} == orders
    assert truth["counters"]["duplicates"] == {}
    fills = await desk.rows("SELECT trade_id, quantity, price FROM fills WHERE broker = 'zerodha'")
    traded = {
        (f"{row['order_id']}:{row['trade_id']}", row["quantity"], row["average_price"]) for row in truth["trades"]
    }
    assert {(row.trade_id, row.quantity, float(row.price)) for row in fills} == traded


async def look_in_redis(desk: WholeDesk) -> None:
    """Every key names its broker or is shared market data."""
    assert desk.endpoints.redis_url is not None
    client = Redis.from_url(desk.endpoints.redis_url)
    try:
        keys = [key.decode() async for key in client.scan_iter()]
    finally:
        await client.aclose()
    owners = {key: key.removeprefix("alphapanda:").partition(":")[0] for key in keys}
    assert set(owners.values()) == {*BROKERS, "shared"}
    for key, owner in owners.items():
        assert [name for name in BROKERS if name in key] == ([] if owner == "shared" else [owner])


async def look_in_temporal(desk: WholeDesk) -> None:
    """Ids, search attributes, and the queue of every call to a broker."""
    assert desk.endpoints.temporal_address is not None
    client = await Client.connect(desk.endpoints.temporal_address)
    for broker in BROKERS:
        await _look_at_workflows(desk, client, broker)


async def _look_at_workflows(desk: WholeDesk, client: Client, broker: str) -> None:
    other = OTHER[broker]
    rows = await _of(desk, broker)
    ids, sent = [row.workflow_id for row in rows], {row.workflow_id for row in rows if row.broker_order_id}
    assert sent
    for workflow_id in [*ids, f"broker:{broker}"]:
        history = (await client.get_workflow_handle(workflow_id).fetch_history()).to_json()
        assert f"broker-{other}" not in history, workflow_id
        assert f'"{other}:' not in history, workflow_id
        assert f"broker-{broker}" in history or workflow_id not in sent, workflow_id

    async def told() -> set[str]:
        return {each.id async for each in client.list_workflows(f"Broker = '{broker}'")}

    async def all_are_told() -> bool:  # the visibility store follows the histories at a small distance
        return set(ids) <= await told()

    await until(all_are_told, told)
    assert {workflow_id.split(":")[1] for workflow_id in await told()} == {broker}


async def look_in_the_logs(desk: WholeDesk) -> None:
    """A broker's process knows nothing of the other's orders; a shared one says of each line whose it is."""
    logs = desk.data / "logs"
    for broker in BROKERS:
        written = (logs / f"broker-{broker}.log").read_text()
        assert f"broker={broker}" in written
        assert f"broker={OTHER[broker]}" not in written
        for row in await _of(desk, OTHER[broker]):
            for name in (row.order_id, row.tag, row.broker_order_id):
                assert name is None or name not in written
    for name in ("orders", "api"):
        for line in (logs / f"{name}.log").read_text().splitlines():
            owners = set(re.findall(r"\b(?:order_id|workflow_id|broker)=(?:order:|broker:)?(paper|zerodha)\b", line))
            assert len(owners) <= 1, line


async def look_through_the_api(desk: WholeDesk) -> None:
    """Asked about one broker, it tells of that one; asked about none, of both, each by its name."""
    for path in ("/orders", "/fills", "/positions", "/portfolios", "/pnl", "/brokers"):
        assert _brokers(await desk.items(path)) == set(BROKERS), path
        for broker in BROKERS:
            assert _brokers(await desk.items(path, broker=broker)) == {broker}, path
    for broker in BROKERS:
        [order, *_] = await desk.items("/orders", broker=broker, state="FILLED")
        assert _brokers(await desk.items("/fills", order_id=order["order_id"])) == {broker}
        [portfolio] = await desk.items("/portfolios", broker=broker)
        fills = await desk.scalar("SELECT count(*) FROM fills WHERE broker = :broker", broker=broker)
        assert portfolio["broker"] == broker
        [pnl] = await desk.items("/pnl", broker=broker)
        charges = await desk.scalar("SELECT sum(charges) FROM fills WHERE broker = :broker", broker=broker)
        assert fills > 0
        assert sum(Decimal(each["charges"]) for each in pnl["strategies"]) == charges


async def _of(desk: WholeDesk, broker: str) -> list[Any]:
    return await desk.rows("SELECT * FROM orders WHERE broker = :broker", broker=broker)


def _brokers(items: Iterable[dict[str, Any]]) -> set[str]:
    return {item["broker"] for item in items}
