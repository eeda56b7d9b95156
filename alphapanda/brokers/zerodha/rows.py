"""One row of Kite's books as a report of ours: words, exact numbers, and times with their zone.

A row this cannot read (an exchange or product nobody here trades, a missing field) raises UnreadableRow; whoever reads
a whole book sets it aside and never takes it for absent.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

import structlog

from alphapanda.brokers.zerodha.values import SLICE_MARK, caller_tag, exact, positive, tags_of, time_of
from alphapanda.domain.errors import AlphaPandaError
from alphapanda.domain.execution import (
    BookStatus,
    HoldingReport,
    MarginReport,
    OrderReport,
    PositionReport,
    TradeReport,
)
from alphapanda.domain.money import to_paisa
from alphapanda.domain.vocabulary import Exchange, OrderType, Product, Side, Variety

_log = structlog.get_logger(__name__)
_T = TypeVar("_T")
Raw = Mapping[str, Any]


class UnreadableRow(AlphaPandaError):  # noqa: N818 - it is a fact about the row
    """A row of the broker's book that has no form here."""

    code = "BROKER_ROW_UNREADABLE"


# A status that is not here (VALIDATION PENDING, OPEN PENDING, PUT ORDER REQ RECEIVED, UPDATE, tomorrow's new one) is
# PENDING: the one mistake that costs money is to call an order ended that is not.
_STATUSES: dict[str, BookStatus] = {
    "OPEN": BookStatus.OPEN,
    "AMO REQ RECEIVED": BookStatus.OPEN,
    "MODIFIED": BookStatus.OPEN,
    "MODIFY PENDING": BookStatus.OPEN,
    "MODIFY VALIDATION PENDING": BookStatus.OPEN,
    "CANCEL PENDING": BookStatus.OPEN,
    "TRIGGER PENDING": BookStatus.TRIGGER_PENDING,
    "COMPLETE": BookStatus.COMPLETE,
    "CANCELLED": BookStatus.CANCELLED,
    "REJECTED": BookStatus.REJECTED,
}


@dataclass(frozen=True, slots=True)
class Iceberg:
    leg: int
    legs: int
    total_quantity: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the order book: the report of this row alone, and what only Kite's words tell.

    `parent_id` is the order that Kite split (an auto-sliced order's id is no row itself).
    """

    report: OrderReport
    variety: str
    word: str
    tags: tuple[str, ...]
    parent_id: str | None
    sliced: bool
    iceberg: Iceberg | None

    @property
    def order_id(self) -> str:
        return self.report.broker_order_id

    @property
    def is_part(self) -> bool:
        return self.sliced or self.iceberg is not None


def entry(row: Raw, *, now: datetime) -> Entry:
    """Raises UnreadableRow."""
    return _built(row, lambda: _entry(row, now))


def _entry(row: Raw, now: datetime) -> Entry:
    tags = tags_of(row)
    word = str(row.get("status") or "")
    variety = str(row.get("variety") or Variety.REGULAR)
    sliced_from = next((tag.removeprefix(SLICE_MARK) for tag in tags if tag.startswith(SLICE_MARK)), None)
    iceberg = _iceberg(row)
    placed_at = time_of(row.get("order_timestamp"), now=now)
    times = [time_of(row.get(name), now=now) for name in ("exchange_update_timestamp", "exchange_timestamp")]
    report = OrderReport(
        broker_order_id=_id(row, "order_id"),
        tag=caller_tag(row, tags),
        status=_STATUSES.get(word, BookStatus.PENDING),
        exchange=Exchange(row["exchange"]),
        tradingsymbol=row["tradingsymbol"],
        side=Side(row["transaction_type"]),
        product=Product(row["product"]),
        order_type=OrderType(row["order_type"]),
        quantity=_count(row, "quantity"),
        filled_quantity=_count(row, "filled_quantity"),
        average_price=positive(row.get("average_price")),
        price=positive(row.get("price")),
        trigger_price=positive(row.get("trigger_price")),
        message=str(row.get("status_message") or row.get("status_message_raw") or ""),
        variety=Variety(variety) if variety in set(Variety) else Variety.REGULAR,
        whole=sliced_from is None and iceberg is None,
        placed_at=placed_at,
        updated_at=max([each for each in (*times, placed_at) if each is not None], default=now),
    )
    parent = sliced_from or (str(row.get("parent_order_id") or "") or None if iceberg else None)
    return Entry(report, variety, word, tags, parent, sliced_from is not None or "autoslice" in tags, iceberg)


def trade(row: Raw, *, now: datetime) -> TradeReport:
    """Raises UnreadableRow.

    Exchanges number trades anew each day and each for itself, so the number is made unique by the order's.
    """
    filled_at = time_of(row.get("fill_timestamp"), now=now) or time_of(row.get("exchange_timestamp"), now=now)
    return _built(
        row,
        lambda: TradeReport(
            trade_id=f"{_id(row, 'order_id')}:{_id(row, 'trade_id')}",
            broker_order_id=_id(row, "order_id"),
            exchange=Exchange(row["exchange"]),
            tradingsymbol=row["tradingsymbol"],
            side=Side(row["transaction_type"]),
            product=Product(row["product"]),
            quantity=_count(row, "quantity"),
            price=exact(row["average_price"]),
            traded_at=filled_at or time_of(row.get("order_timestamp"), now=now) or now,
        ),
    )


def position(row: Raw) -> PositionReport:
    return _built(
        row,
        lambda: PositionReport(
            exchange=Exchange(row["exchange"]),
            tradingsymbol=row["tradingsymbol"],
            product=Product(row["product"]),
            quantity=_count(row, "quantity"),
            average_price=positive(row.get("average_price")),
        ),
    )


def holding(row: Raw) -> HoldingReport:
    """Shares carried over night, those on margin (MTF) included; `quantity` of the row would shrink with each sale."""
    margin_trading = row.get("mtf")
    on_margin = margin_trading.get("quantity") if isinstance(margin_trading, dict) else 0
    return _built(
        row,
        lambda: HoldingReport(
            exchange=Exchange(row["exchange"]),
            tradingsymbol=row["tradingsymbol"],
            quantity=_count(row, "opening_quantity") + int(on_margin or 0),
            average_price=positive(row.get("average_price")),
        ),
    )


def margins(segments: object) -> MarginReport:
    """Equity and commodity together, as far as enabled. Raises UnreadableRow."""
    if not isinstance(segments, dict):
        raise UnreadableRow(f"the margins came as {type(segments).__name__}, not by segment")
    enabled = [segment for segment in segments.values() if isinstance(segment, dict) and segment.get("enabled")]

    def total(*path: str) -> Decimal:
        amounts = []
        for segment in enabled:
            value: Any = segment
            for name in path:
                value = value[name]
            amounts.append(exact(value))
        return to_paisa(sum(amounts, Decimal(0)))

    return _built(
        segments,
        lambda: MarginReport(
            cash=total("available", "cash"), available=total("net"), used=total("utilised", "debits")
        ),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Read(Generic[_T]):
    """A whole book: what could be read, and the rows that could not."""

    rows: tuple[_T, ...]
    unreadable: tuple[Raw, ...] = field(default=())


def read_all(rows: object, one: Callable[[Raw], _T], what: str) -> Read[_T]:
    """Every row by `one`; those without a form here are set aside and logged. Raises UnreadableRow for no list."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UnreadableRow(f"the {what} came as {type(rows).__name__}, not as a list of rows")
    read: list[_T] = []
    unreadable: list[Raw] = []
    for row in rows:
        try:
            read.append(one(row))
        except UnreadableRow as error:
            unreadable.append(row)
            _log.debug("a row was set aside", book=what, reason=str(error))
    if unreadable:
        _log.warning("rows of the broker's book were set aside", book=what, rows=len(unreadable), of=len(rows))
    return Read(tuple(read), tuple(unreadable))


def read_traded(rows: object, one: Callable[[Raw], _T], what: str) -> tuple[_T, ...]:
    """As `read_all`, of what is held. A row of an exchange or product nobody here trades is left out; one that is ours
    and cannot be read raises UnreadableRow: without it the account would look flat."""
    read = read_all(rows, one, what)
    for row in read.unreadable:
        if str(row.get("exchange")) in set(Exchange) and str(row.get("product")) in set(Product):
            raise UnreadableRow(f"{row.get('tradingsymbol')} is among the {what} in a form that cannot be read")
    return read.rows


def _id(row: Raw, name: str) -> str:
    value = row[name]
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value):
        raise ValueError(f"{name}: {value!r} is no id")
    return str(value)


def _count(row: Raw, name: str) -> int:
    number = exact(row[name])
    if number != int(number):
        raise ValueError(f"{name}: {number} is no count")
    return int(number)


def _iceberg(row: Raw) -> Iceberg | None:
    meta = row.get("meta")
    found = meta.get("iceberg") if isinstance(meta, dict) else None
    if not isinstance(found, dict):
        return None
    leg, legs, total = (int(found.get(name) or 0) for name in ("leg", "legs", "total_quantity"))
    return Iceberg(leg, legs, total)


def _built(row: Raw, build: Callable[[], _T]) -> _T:
    try:
        return build()
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:  # pydantic's errors are ValueErrors
        where = f"{row.get('exchange')}:{row.get('tradingsymbol')} {row.get('product')}"
        raise UnreadableRow(f"{where}: {type(error).__name__} {str(error).splitlines()[0]}") from error
