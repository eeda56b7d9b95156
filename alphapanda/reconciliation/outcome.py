"""What a comparison comes to: repairs that are proved, and findings that are not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from alphapanda.domain.execution import TradeReport
from alphapanda.reconciliation.views import KnownOrder


class DriftKind(StrEnum):
    """Differences that nothing proves away."""

    ORDER_NOT_IN_BOOK = "ORDER_NOT_IN_BOOK"
    ORDER_STILL_WORKING = "ORDER_STILL_WORKING"
    ORDER_FILLED_MORE = "ORDER_FILLED_MORE"
    ORDER_LARGER = "ORDER_LARGER"
    ORDER_TAG_UNKNOWN = "ORDER_TAG_UNKNOWN"
    TRADE_NOT_BOOKED = "TRADE_NOT_BOOKED"
    TRADE_WITHOUT_ORDER = "TRADE_WITHOUT_ORDER"
    TRADE_NOT_AT_BROKER = "TRADE_NOT_AT_BROKER"
    TRADE_DIFFERS = "TRADE_DIFFERS"
    POSITION_QUANTITY = "POSITION_QUANTITY"
    POSITION_UNEXPLAINED = "POSITION_UNEXPLAINED"

    @property
    def meaning(self) -> str:
        return MEANINGS[self]


K = DriftKind

MEANINGS: dict[DriftKind, str] = {
    K.ORDER_NOT_IN_BOOK: "The ledger has the order working; the broker's book, read in full, does not have it.",
    K.ORDER_STILL_WORKING: "The ledger has the order as ended; at the broker it works on.",
    K.ORDER_FILLED_MORE: "The ledger has more of the order filled than the broker's book shows.",
    K.ORDER_LARGER: "The book holds more of the order than was asked for: placed twice, or changed by hand.",
    K.ORDER_TAG_UNKNOWN: "An order in the book carries a tag like ours that the ledger does not know.",
    K.TRADE_NOT_BOOKED: "A trade of an order of ours stays unbooked although its workflow was told.",
    K.TRADE_WITHOUT_ORDER: "A trade belongs to an order that the book, read after it, does not show.",
    K.TRADE_NOT_AT_BROKER: "A fill of the day is booked that the broker does not show.",
    K.TRADE_DIFFERS: "A booked fill and the broker's trade of the same id are not the same.",
    K.POSITION_QUANTITY: "The broker's net quantity is not what fills and trades add up to.",
    K.POSITION_UNEXPLAINED: "The broker holds a position in something that was never traded here.",
}

OF_THE_DAY = frozenset(
    {
        K.ORDER_FILLED_MORE,
        K.ORDER_LARGER,
        K.TRADE_NOT_BOOKED,
        K.TRADE_WITHOUT_ORDER,
        K.TRADE_NOT_AT_BROKER,
        K.TRADE_DIFFERS,
    }
)
"""About rows a broker shows for a day only: gone the next day means "can no longer be checked", not "settled"."""

ABOUT_ORDERS = frozenset(
    {K.ORDER_NOT_IN_BOOK, K.ORDER_STILL_WORKING, K.ORDER_FILLED_MORE, K.ORDER_LARGER, K.ORDER_TAG_UNKNOWN}
)
ABOUT_TRADES = frozenset({K.TRADE_NOT_BOOKED, K.TRADE_WITHOUT_ORDER, K.TRADE_NOT_AT_BROKER, K.TRADE_DIFFERS})
ABOUT_POSITIONS = frozenset({K.POSITION_QUANTITY, K.POSITION_UNEXPLAINED})


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference. `key` names what differs and is the same each time; `evidence` is JSON data, both sides of it."""

    kind: DriftKind
    key: str
    detail: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Nudge:
    """The order's workflow is to read the book; where it has ended, what the book shows is booked.

    `numbers` are those of the order at the broker: several, where it was replaced there.
    """

    order: KnownOrder
    why: str
    numbers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Adopt:
    """Trades of one order at the broker that nobody here placed, to be booked as EXTERNAL."""

    broker_order_id: str
    trades: tuple[TradeReport, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """`judged`: the kinds that the parts read could decide, but for the keys in `undecided`.

    What is judged and not found is settled. What is not judged stays as it was: a failed read settles nothing.
    """

    findings: tuple[Finding, ...] = ()
    nudges: tuple[Nudge, ...] = ()
    adoptions: tuple[Adopt, ...] = ()
    judged: frozenset[DriftKind] = frozenset()
    undecided: frozenset[str] = field(default=frozenset())

    def has_judged(self, kind: DriftKind, key: str) -> bool:
        return kind in self.judged and key not in self.undecided
