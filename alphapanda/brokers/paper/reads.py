"""What the paper broker answers from its tables: each question is asked of Postgres, never of a memory of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from alphapanda.brokers.paper.records import PaperOrder, PaperPosition, PaperTrade
from alphapanda.brokers.paper.reports import order_report, position_report, trade_report
from alphapanda.brokers.paper.store import PaperStore
from alphapanda.brokers.protocol import BrokerUnavailable, NotAuthenticated
from alphapanda.domain.calendar import trading_date
from alphapanda.domain.execution import MarginReport, OrderReport, PositionReport, SessionReport, TradeReport
from alphapanda.domain.ids import Broker
from alphapanda.domain.vocabulary import SessionState

_RESTING = "status IN ('OPEN', 'TRIGGER_PENDING')"
_SHOWN = "(hidden_until IS NULL OR hidden_until <= :now)"
_SESSION = text(
    "SELECT session, session_since, armed_faults ? 'BOOK_UNAVAILABLE' AS faulty FROM paper_accounts "
    "WHERE broker = :broker"
)
_SPEND_FAULT = text(
    "UPDATE paper_accounts SET version = version + 1, armed_faults = armed_faults || jsonb_build_object("
    "'BOOK_UNAVAILABLE', (armed_faults ->> 'BOOK_UNAVAILABLE')::numeric - 1) "
    "WHERE broker = :broker AND (armed_faults ->> 'BOOK_UNAVAILABLE')::numeric >= 1 RETURNING version"
)
_SET_SESSION = text(
    "UPDATE paper_accounts SET version = version + 1, session = :session, session_since = :now "
    "WHERE broker = :broker RETURNING broker"
)
# Ids begin with their day, so the day's orders are a range of the primary key.
_ORDERS = text(
    f"SELECT * FROM paper_orders WHERE broker = :broker AND broker_order_id >= :day AND {_SHOWN} "
    f"UNION SELECT * FROM paper_orders WHERE broker = :broker AND {_RESTING} AND {_SHOWN}"
)
_ORDER = text(f"SELECT * FROM paper_orders WHERE broker = :broker AND broker_order_id = :id AND {_SHOWN}")
_ROW = text("SELECT * FROM paper_orders WHERE broker = :broker AND broker_order_id = :id")
_BY_TAG = text(
    f"SELECT * FROM paper_orders WHERE broker = :broker AND tag = :tag AND {_SHOWN} ORDER BY broker_order_id LIMIT 1"
)
_TRADES_OF = text("SELECT * FROM paper_trades WHERE broker = :broker AND broker_order_id = :id ORDER BY trade_id")
_TRADES = text(
    "SELECT t.* FROM paper_trades AS t JOIN paper_orders AS o USING (broker, broker_order_id) "
    f"WHERE t.broker = :broker AND t.trade_id >= :day AND {_SHOWN} ORDER BY t.trade_id"
)
_POSITIONS = text("SELECT * FROM paper_positions WHERE broker = :broker AND quantity <> 0")
_MARGINS = text(
    "SELECT cash, (SELECT coalesce(sum(margin), 0) FROM paper_positions WHERE broker = a.broker) "
    f"+ (SELECT coalesce(sum(margin), 0) FROM paper_orders WHERE broker = a.broker AND {_RESTING}) AS used "
    "FROM paper_accounts AS a WHERE broker = :broker"
)


class PaperReads:
    """The reading half of the paper broker. Raises NotAuthenticated and BrokerUnavailable."""

    def __init__(self, broker: Broker, store: PaperStore) -> None:
        self._broker = broker
        self._store = store

    async def orders(self, now: datetime) -> Sequence[OrderReport]:
        """The day's orders and all that still rest, without trades."""
        async with self._store.reading() as connection:
            await self._check(connection)
            rows = await self._all(connection, _ORDERS, day=f"{trading_date(now):%y%m%d}", now=now)
        return [order_report(msgspec.convert(row, PaperOrder), None) for row in rows]

    async def order(self, broker_order_id: str, now: datetime) -> OrderReport | None:
        async with self._store.reading() as connection:
            await self._check(connection)
            return await self._one(connection, await self._all(connection, _ORDER, id=broker_order_id, now=now))

    async def whole_order(self, broker_order_id: str, now: datetime) -> OrderReport | None:
        """The same for the exchange's own updates, which need no session."""
        async with self._store.reading() as connection:
            return await self._one(connection, await self._all(connection, _ORDER, id=broker_order_id, now=now))

    async def find_by_tag(self, tag: str, now: datetime) -> OrderReport | None:
        """The first order placed with the tag."""
        async with self._store.reading() as connection:
            await self._check(connection)
            return await self._one(connection, await self._all(connection, _BY_TAG, tag=tag, now=now))

    async def trades(self, now: datetime) -> Sequence[TradeReport]:
        async with self._store.reading() as connection:
            await self._check(connection)
            rows = await self._all(connection, _TRADES, day=f"{trading_date(now):%y%m%d}", now=now)
        return [trade_report(msgspec.convert(row, PaperTrade)) for row in rows]

    async def positions(self) -> Sequence[PositionReport]:
        async with self._store.reading() as connection:
            await self._check(connection)
            rows = await self._all(connection, _POSITIONS)
        return [position_report(msgspec.convert(row, PaperPosition)) for row in rows]

    async def margins(self) -> MarginReport:
        async with self._store.reading() as connection:
            await self._check(connection)
            (row,) = await self._all(connection, _MARGINS)
        return MarginReport(cash=row["cash"], used=row["used"], available=row["cash"] - row["used"])

    async def session(self) -> SessionReport:
        async with self._store.reading() as connection:
            (row,) = await self._all(connection, _SESSION)
        return SessionReport(broker=self._broker, state=SessionState(row["session"]), since=row["session_since"])

    async def set_session(self, state: SessionState, now: datetime) -> SessionReport:
        async with self._store.reading() as connection:
            await self._all(connection, _SET_SESSION, session=state, now=now)
        return SessionReport(broker=self._broker, state=state, since=now)

    async def check(self) -> None:
        """Whether a read would be answered: for what is known without one."""
        async with self._store.reading() as connection:
            await self._check(connection)

    async def _check(self, connection: AsyncConnection) -> None:
        (row,) = await self._all(connection, _SESSION)
        if row["session"] != SessionState.ACTIVE:
            raise NotAuthenticated("the paper session has expired")
        if row["faulty"] and await self._all(connection, _SPEND_FAULT):
            raise BrokerUnavailable("the paper broker's book cannot be read (rehearsed)")

    async def _one(self, connection: AsyncConnection, rows: list[dict[str, Any]]) -> OrderReport | None:
        if not rows:
            return None
        number = rows[0]["broker_order_id"]
        trades = await self._all(connection, _TRADES_OF, id=number)
        # Read again after its trades: a row that is newer than them is caught up with by the next read, whereas
        # trades beside an older row would show a fill of an order in a state it had left.
        (row,) = await self._all(connection, _ROW, id=number)
        return order_report(msgspec.convert(row, PaperOrder), [msgspec.convert(each, PaperTrade) for each in trades])

    async def _all(self, connection: AsyncConnection, statement: Any, **values: object) -> list[dict[str, Any]]:
        found = await connection.execute(statement, {"broker": self._broker, **values})
        return [dict(row) for row in found.mappings()]
