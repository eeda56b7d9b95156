"""The book in Postgres: loaded, caught up with, and changed by one compare-and-swap.

Every change of an account's book is computed from one `version` of it and lands only if that version is still
current: a single statement moves the version and writes the rows, or does nothing. So two paths, in one process or
in two, can never both fill an order, spend the same rupee or take the same volume; the loser reads what the winner
wrote and computes again.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import asyncpg  # type: ignore[import-untyped]
import msgspec
from sqlalchemy import RowMapping, TextClause, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from alphapanda.brokers.paper.book import Account, Book, Draft
from alphapanda.brokers.paper.records import PaperOrder, PaperPosition, PaperTrade
from alphapanda.brokers.protocol import AmbiguousOutcome, BrokerUnavailable
from alphapanda.domain.ids import Broker
from alphapanda.domain.money import Money
from alphapanda.domain.vocabulary import SessionState

_RECENT_TRADES = 2000
"""Trades read back at start to know what of the current ticks is taken; far more than happen while a quote is fresh."""


def _upsert(table: str, fields: Sequence[str], keys: Sequence[str], source: str, *, versioned: bool) -> str:
    columns = ", ".join(fields)
    version = "version, " if versioned else ""
    replaced = [*(["version"] if versioned else []), *(name for name in fields if name not in keys)]
    updates = ", ".join(f"{name} = excluded.{name}" for name in replaced)
    return (
        f"INSERT INTO {table} (broker, {version}{columns}) "
        f"SELECT :broker, {'moved.version, ' if versioned else ''}{', '.join('r.' + name for name in fields)} "
        f"FROM moved, jsonb_populate_recordset(NULL::{table}, CAST(:changes AS jsonb) -> '{source}') AS r "
        f"ON CONFLICT (broker, {', '.join(keys)}) DO UPDATE SET {updates}"
    )


_ORDER_FIELDS = PaperOrder.__struct_fields__
_TRADE_FIELDS = PaperTrade.__struct_fields__
_POSITION_FIELDS = PaperPosition.__struct_fields__

_WRITE = text(f"""
WITH moved AS (
    UPDATE paper_accounts
    SET version = version + 1, cash = CAST(CAST(:cash AS text) AS numeric), last_number = :last_number,
        armed_faults = CAST(:armed_faults AS jsonb)
    WHERE broker = :broker AND version = :version
    RETURNING version
), orders AS (
    {_upsert("paper_orders", _ORDER_FIELDS, ("broker_order_id",), "orders", versioned=True)}
), trades AS (
    INSERT INTO paper_trades (broker, {", ".join(_TRADE_FIELDS)})
    SELECT :broker, {", ".join("r." + name for name in _TRADE_FIELDS)}
    FROM moved, jsonb_populate_recordset(NULL::paper_trades, CAST(:changes AS jsonb) -> 'trades') AS r
), positions AS (
    {_upsert(
        "paper_positions", _POSITION_FIELDS, ("exchange", "tradingsymbol", "product"), "positions", versioned=True
    )}
)
SELECT version FROM moved
""")  # fmt: skip

_ACCOUNT = "SELECT version, cash, last_number, armed_faults, session, session_since FROM paper_accounts"
_READ_ACCOUNT = text(f"{_ACCOUNT} WHERE broker = :broker")
_LOCK_ACCOUNT = text(f"{_ACCOUNT} WHERE broker = :broker FOR UPDATE")
_OPEN_ACCOUNT = text(
    "INSERT INTO paper_accounts (broker, cash, session, session_since) VALUES (:broker, :cash, :session, :now) "
    "ON CONFLICT (broker) DO NOTHING"
)
_RESTING = text(
    "SELECT * FROM paper_orders WHERE broker = :broker AND version > :version "
    "AND status IN ('OPEN', 'TRIGGER_PENDING') ORDER BY broker_order_id"
)
_ORDERS = text("SELECT * FROM paper_orders WHERE broker = :broker AND version > :version ORDER BY broker_order_id")
_POSITIONS = text("SELECT * FROM paper_positions WHERE broker = :broker AND version > :version")
_LATER_TRADES = text(
    "SELECT * FROM (SELECT trade_id, exchange || ':' || tradingsymbol AS key, tick, quantity FROM paper_trades "
    f"WHERE broker = :broker AND trade_id > :after ORDER BY trade_id DESC LIMIT {_RECENT_TRADES}) AS latest "
    "ORDER BY trade_id"
)

_encode = msgspec.json.Encoder(decimal_format="string").encode


class PaperStore:
    """One account's tables. Raises BrokerUnavailable when nothing was sent, AmbiguousOutcome when it may have been."""

    def __init__(self, broker: Broker, engine: AsyncEngine, starting_cash: Money) -> None:
        self._broker = broker
        self._engine = engine
        # One statement is one transaction: no BEGIN and COMMIT round trips on the way of an order.
        self._single = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._starting_cash = starting_cash

    async def load(self) -> Book:
        """The book as it is now; the account is opened with its starting cash if there is none."""
        async with self.transaction() as connection:
            opening = {"cash": self._starting_cash, "session": SessionState.ACTIVE, "now": datetime.now(UTC)}
            await connection.execute(_OPEN_ACCOUNT, {"broker": self._broker, **opening})
            account = await self._account(connection, lock=True)
            book = Book(self._broker, account)
            for row in await self._changed(connection, _RESTING, 0):
                book.put_order(msgspec.convert(dict(row), PaperOrder))
            for row in await self._changed(connection, _POSITIONS, 0):
                book.put_position(msgspec.convert(dict(row), PaperPosition))
            await self._read_trades(connection, book)
        return book

    async def is_current(self, book: Book) -> bool:
        async with self.reading() as connection:
            account = await self._account(connection, lock=False)
        return account.version == book.account.version

    async def write(self, draft: Draft, version: int, connection: AsyncConnection | None = None) -> int | None:
        """Land the draft computed from `version`; the new version, or None when another path was first."""
        changes = {
            "orders": list(draft.orders.values()),
            "trades": draft.trades,
            "positions": list(draft.positions.values()),
        }
        values = {
            "broker": self._broker,
            "version": version,
            "cash": str(draft.cash),
            "last_number": draft.last_number,
            "armed_faults": _encode(draft.armed_faults).decode(),
            "changes": _encode(changes).decode(),
        }
        if connection is not None:
            return (await connection.execute(_WRITE, values)).scalar()
        async with self._connected(self._single) as own:
            return (await own.execute(_WRITE, values)).scalar()

    async def catch_up(self, connection: AsyncConnection, book: Book) -> set[str]:
        """Lock the account until the transaction ends and read into the book what others changed.

        Returns the instruments whose orders changed.
        """
        account = await self._account(connection, lock=True)
        seen = book.account.version
        if account.version == seen:
            return set()
        orders = [msgspec.convert(dict(row), PaperOrder) for row in await self._changed(connection, _ORDERS, seen)]
        for order in orders:
            book.put_order(order)
        for row in await self._changed(connection, _POSITIONS, seen):
            book.put_position(msgspec.convert(dict(row), PaperPosition))
        await self._read_trades(connection, book)
        book.account = account
        return {order.key for order in orders}

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that commits at the end of the block."""
        async with self._connected(self._engine) as connection, connection.begin():
            yield connection

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection for statements that each stand alone; a failure is BrokerUnavailable, for nothing changed."""
        try:
            async with self._connected(self._single) as connection:
                yield connection
        except AmbiguousOutcome as error:
            raise BrokerUnavailable(error.message) from error

    @asynccontextmanager
    async def _connected(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        connection = engine.connect()
        try:
            await connection.start()
        except (SQLAlchemyError, OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise BrokerUnavailable(f"the paper exchange's database: {type(error).__name__}") from error
        try:
            yield connection
        except (DataError, IntegrityError, ProgrammingError):
            raise  # answered by the server, so rolled back: a fault of ours
        except (DBAPIError, OSError) as error:
            raise AmbiguousOutcome(f"the paper exchange's database: {type(error).__name__}") from error
        finally:
            await connection.close()

    async def _account(self, connection: AsyncConnection, *, lock: bool) -> Account:
        statement = _LOCK_ACCOUNT if lock else _READ_ACCOUNT
        row = (await connection.execute(statement, {"broker": self._broker})).one()
        return Account(
            version=row.version,
            cash=row.cash,
            last_number=row.last_number,
            armed_faults=row.armed_faults,
            session=SessionState(row.session),
            session_since=row.session_since,
        )

    async def _changed(self, connection: AsyncConnection, statement: TextClause, seen: int) -> Sequence[RowMapping]:
        found = await connection.execute(statement, {"broker": self._broker, "version": seen})
        return found.mappings().all()

    async def _read_trades(self, connection: AsyncConnection, book: Book) -> None:
        found = await connection.execute(_LATER_TRADES, {"broker": self._broker, "after": book.last_trade_id})
        for trade_id, key, tick, quantity in found.all():
            book.last_trade_id = trade_id
            book.take(key, tick, quantity)
