"""The book in a file: one SQLite transaction per change, committed before the reply leaves.

It survives the death of the process at any instant; not a power cut, since nothing is forced to the disk.
"""

import sqlite3
from pathlib import Path

import msgspec

from alphapanda.domain.errors import AlphaPandaError
from alphapanda.kitesim.book import Book, Changes
from alphapanda.kitesim.instruments import Instruments
from alphapanda.kitesim.orders import Job, SimOrder, SimTrade

_TABLES = """
CREATE TABLE IF NOT EXISTS history (seq INTEGER PRIMARY KEY, doc BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS trades (seq INTEGER PRIMARY KEY, doc BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, doc BLOB NOT NULL);
"""


class SimStateError(AlphaPandaError):
    """The state file cannot be used."""

    code = "KITE_SIM_STATE"
    default_next_action = "Name another file, or remove this one to begin with an empty book."


class Store:
    """Raises SimStateError where the file is no book of a simulator."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=OFF")
            self._db.executescript(_TABLES)
        except (OSError, sqlite3.Error) as error:
            raise SimStateError(f"{path}: cannot be opened as a simulator's book ({error})") from error
        self._orders = msgspec.json.Decoder(SimOrder)
        self._trades = msgspec.json.Decoder(SimTrade)
        self._jobs = msgspec.json.Decoder(list[Job])

    def load(self, book: Book, instruments: Instruments) -> None:
        """Raises SimStateError."""
        try:
            for (doc,) in self._db.execute("SELECT doc FROM history ORDER BY seq"):
                order = self._orders.decode(doc)
                instruments.learn(order.exchange, order.tradingsymbol)
                book.restore_order(order)
            for (doc,) in self._db.execute("SELECT doc FROM trades ORDER BY seq"):
                trade = self._trades.decode(doc)
                instrument = instruments.learn(trade.exchange, trade.tradingsymbol)
                book.restore_trade(trade, instrument.multiplier if instrument is not None else 1)
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise SimStateError(f"{self._path}: cannot be read ({error})") from error
        jobs = self.fact("jobs")
        for job in self._jobs.decode(jobs) if jobs is not None else ():
            book.jobs[job.job_id] = job
        count = self.fact("count")
        book.numbers.count = int(count) if count is not None else 0

    def save(self, changes: Changes, book: Book) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        self._insert("history", changes.history)
        self._insert("trades", changes.trades)
        if changes.jobs_changed:
            self.keep("jobs", msgspec.json.encode(list(book.jobs.values())))
        self.keep("count", str(book.numbers.count).encode())
        self._db.execute("COMMIT")

    def fact(self, name: str) -> bytes | None:
        row = self._db.execute("SELECT doc FROM facts WHERE name = ?", (name,)).fetchone()
        return row[0] if row is not None else None

    def keep(self, name: str, doc: bytes) -> None:
        self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, doc))

    def close(self) -> None:
        self._db.close()

    def _insert(self, table: str, records: list[SimOrder] | list[SimTrade]) -> None:
        rows = [(msgspec.json.encode(record),) for record in records]
        self._db.executemany(f"INSERT INTO {table} (doc) VALUES (?)", rows)
