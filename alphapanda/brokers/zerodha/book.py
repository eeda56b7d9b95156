"""The order book as a whole: rows of one order summed into one report, found by id and by tag.

Kite splits an order above the freeze quantity into slices and an iceberg into legs, each a row of its own. All carry
the caller's tag. They are one order to everybody above, under one id: the sliced order's own (which is no row), else
that of the row placed first.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from alphapanda.brokers.protocol import BrokerUnavailable
from alphapanda.brokers.zerodha.rows import Entry, Raw, entry, read_all, trade
from alphapanda.brokers.zerodha.values import is_our_form, tags_of
from alphapanda.domain.execution import BookStatus, OrderReport, TradeReport
from alphapanda.domain.ids import Tag
from alphapanda.domain.money import average_price

_Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """The rows of one order, the first placed first; at least one."""

    entries: tuple[Entry, ...]

    @property
    def broker_order_id(self) -> str:
        first = self.entries[0]
        return first.parent_id if first.sliced and first.parent_id else first.order_id

    @property
    def ids(self) -> frozenset[str]:
        """Every id that names this order or a part of it."""
        parents = {each.parent_id for each in self.entries if each.parent_id}
        return frozenset({each.order_id for each in self.entries} | parents)

    @property
    def is_split(self) -> bool:
        return len(self.entries) > 1 or self.entries[0].is_part

    @property
    def working(self) -> tuple[Entry, ...]:
        return tuple(each for each in self.entries if not each.report.status.is_final)

    def report(self, trades: Sequence[TradeReport] | None = None) -> OrderReport:
        """The order as one report; `trades` of any of its rows are made the order's."""
        first = self.entries[0].report
        update: dict[str, object] = {"broker_order_id": self.broker_order_id}
        if self.is_split:
            update |= self._summed()
        if trades is not None:
            own = {"broker_order_id": self.broker_order_id}
            update["trades"] = tuple(each.model_copy(update=own) for each in trades)
        return first.model_copy(update=update)

    def _summed(self) -> dict[str, object]:
        reports = [each.report for each in self.entries]
        filled = sum(each.filled_quantity for each in reports)
        turnover = sum((each.filled_quantity * (each.average_price or Decimal(0)) for each in reports), Decimal(0))
        quantity = self._quantity()
        refused = [each.message for each in reports if each.status is BookStatus.REJECTED and each.message]
        return {
            "status": _status([each.status for each in reports], filled, quantity, self._awaits_a_leg()),
            "quantity": quantity,
            "filled_quantity": filled,
            "average_price": average_price(turnover, filled),
            "message": next(iter(refused), reports[-1].message),
            "whole": False,
            "placed_at": min((each.placed_at for each in reports if each.placed_at), default=None),
            "updated_at": max(each.updated_at for each in reports),
        }

    def _quantity(self) -> int:
        shown = sum(each.report.quantity for each in self.entries)
        totals = [each.iceberg.total_quantity for each in self.entries if each.iceberg]
        return max([shown, *totals])

    def _awaits_a_leg(self) -> bool:
        """An iceberg's next leg is placed once the one before it is done: between them no row is open."""
        last = max((each for each in self.entries if each.iceberg), key=_leg, default=None)
        return (
            last is not None
            and last.iceberg is not None
            and last.report.status is BookStatus.COMPLETE
            and last.iceberg.leg < last.iceberg.legs
        )


def _leg(each: Entry) -> int:
    return each.iceberg.leg if each.iceberg else 0


def _status(statuses: Sequence[BookStatus], filled: int, quantity: int, awaits_a_leg: bool) -> BookStatus:
    """The status of an order in several rows; the first line that fits.

    - a row is still working            -> the furthest of the working ones (OPEN, TRIGGER_PENDING, PENDING)
    - everything is filled              -> COMPLETE
    - an iceberg's next leg is to come  -> OPEN
    - every row shown is complete       -> COMPLETE (more rows may follow: the report is not whole)
    - every row was refused, no fill    -> REJECTED
    - the rest was cancelled or refused -> CANCELLED, whatever was filled stays filled
    """
    working = [status for status in statuses if not status.is_final]
    if working:
        furthest = (BookStatus.OPEN, BookStatus.TRIGGER_PENDING, BookStatus.PENDING)
        return next(status for status in furthest if status in working)
    if filled >= quantity:
        return BookStatus.COMPLETE
    if awaits_a_leg:
        return BookStatus.OPEN
    distinct = set(statuses)
    if distinct == {BookStatus.COMPLETE}:
        return BookStatus.COMPLETE
    return BookStatus.REJECTED if distinct == {BookStatus.REJECTED} and not filled else BookStatus.CANCELLED


class Book:
    """One reading of the order book."""

    def __init__(self, rows: object, *, now: datetime) -> None:
        """Raises UnreadableRow when `rows` is no list of rows at all."""
        read = read_all(rows, lambda row: entry(row, now=now), "order book")
        self.groups = grouped(read.rows)
        self._unreadable = read.unreadable
        self._by_id = {each: group for group in self.groups for each in group.ids}
        self._by_tag: defaultdict[str, list[Entry]] = defaultdict(list)
        for each in read.rows:
            for tag in each.tags:
                self._by_tag[tag].append(each)

    def by_id(self, broker_order_id: str) -> Group | None:
        """Raises BrokerUnavailable where the order is there and cannot be read: that is not absent."""
        found = self._by_id.get(broker_order_id)
        if found is None and any(str(row.get("order_id")) == broker_order_id for row in self._unreadable):
            raise BrokerUnavailable(f"order {broker_order_id} is in the book in a form that cannot be read")
        return found

    def by_tag(self, tag: Tag) -> Group | None:
        """The rows that carry the tag in either field; None: the book, read in full, has none."""
        if _carries(self._unreadable, tag):
            raise BrokerUnavailable(f"an order with tag {tag} is in the book in a form that cannot be read")
        found = self._by_tag.get(tag)
        return Group(tuple(sorted(found, key=_order))) if found else None


def grouped(entries: Iterable[Entry]) -> tuple[Group, ...]:
    groups: dict[_Key, list[Entry]] = {}
    for each in entries:
        groups.setdefault(_key(each), []).append(each)
    return tuple(Group(tuple(sorted(group, key=_order))) for group in groups.values())


def _key(each: Entry) -> _Key:
    """Rows with the same key are one order. A tag people write ("swing") may stand on many orders: ours never does."""
    report = each.report
    what = (report.exchange, report.tradingsymbol, report.side)
    if report.tag is not None and is_our_form(report.tag):
        return ("tag", report.tag, *what)
    if each.parent_id is not None:
        return ("parent", each.parent_id, *what)
    if report.tag is not None and each.is_part:
        return ("tag", report.tag, *what)
    return ("row", each.order_id)


def _order(each: Entry) -> tuple[float, int, str]:
    placed = each.report.placed_at
    return (placed.timestamp() if placed else 0.0, len(each.order_id), each.order_id)


def _carries(rows: Iterable[Raw], tag: str) -> bool:
    return any(tag in tags_of(row) for row in rows)


class TradeBook:
    """One reading of the trade book."""

    def __init__(self, rows: object, *, now: datetime) -> None:
        """Raises UnreadableRow when `rows` is no list of rows at all."""
        read = read_all(rows, lambda row: trade(row, now=now), "trade book")
        self.trades = read.rows
        self._unreadable = frozenset(str(row.get("order_id")) for row in read.unreadable)
        self._by_order: defaultdict[str, list[TradeReport]] = defaultdict(list)
        for each in read.rows:
            self._by_order[each.broker_order_id].append(each)

    def of(self, group: Group) -> list[TradeReport]:
        """The executions of all its rows. Raises BrokerUnavailable where one of them cannot be read."""
        if not self._unreadable.isdisjoint(group.ids):
            raise BrokerUnavailable(f"a trade of order {group.broker_order_id} came in a form that cannot be read")
        return [each for order_id in sorted(group.ids) for each in self._by_order.get(order_id, ())]
