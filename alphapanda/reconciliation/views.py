"""What is compared: the ledger as it stood in one moment, and the broker as far as it could be read."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple

from alphapanda.domain.execution import HoldingReport, MarginReport, OrderReport, PositionReport, TradeReport
from alphapanda.domain.ids import Broker, OrderId, Tag, WorkflowId
from alphapanda.domain.states import OrderState
from alphapanda.domain.vocabulary import Side


class Account(NamedTuple):
    """What a position is kept by."""

    exchange: str
    tradingsymbol: str
    product: str

    def __str__(self) -> str:
        return ":".join(self)


@dataclass(frozen=True, slots=True)
class Unread:
    """A part that could not be read, and why. It says nothing: not "none", not "flat", not "zero"."""

    reason: str


@dataclass(frozen=True, slots=True)
class BrokerView:
    """One round of reads, in the order of the fields; see `reconcile` for why in that order.

    `began_at` is before the first read and `day` its Indian date: trades and orders are of that day.
    """

    began_at: datetime
    day: date
    trades: tuple[TradeReport, ...] | Unread
    orders: tuple[OrderReport, ...] | Unread
    positions: tuple[PositionReport, ...] | Unread
    holdings: tuple[HoldingReport, ...] | Unread
    margins: MarginReport | Unread
    later_trades: tuple[TradeReport, ...] | Unread

    @property
    def unread(self) -> dict[str, str]:
        """The parts that could not be read, with their reasons."""
        parts = ("trades", "orders", "positions", "holdings", "margins", "later_trades")
        found = {name: getattr(self, name) for name in parts}
        return {name: part.reason for name, part in found.items() if isinstance(part, Unread)}


@dataclass(frozen=True, slots=True)
class KnownOrder:
    """An order of ours. `updated_on` is the Indian date of its last change, as the ledger has it."""

    order_id: OrderId
    workflow_id: WorkflowId
    state: OrderState
    quantity: int
    filled_quantity: int
    tag: Tag | None
    broker_order_id: str | None
    updated_on: date


@dataclass(frozen=True, slots=True)
class BookedFill:
    """`order_id` is None for a trade that nobody here ordered."""

    trade_id: str
    order_id: OrderId | None
    account: Account
    side: Side
    quantity: int
    price: Decimal
    traded_at: datetime
    booked_at: datetime

    @property
    def signed(self) -> int:
        return self.side.sign * self.quantity


@dataclass(frozen=True, slots=True)
class LedgerView:
    """One snapshot, taken after the broker's last read.

    `orders`: all that may be at the broker and have not ended, and every one that a row or a trade read from it names
    by tag or number. `fills`: those of the trades read, and all of the day. `positions`: over all strategies, closed
    ones as 0.
    """

    broker: Broker
    orders: tuple[KnownOrder, ...]
    fills: tuple[BookedFill, ...]
    positions: Mapping[Account, int]


def account_of(report: TradeReport | PositionReport) -> Account:
    return Account(report.exchange, report.tradingsymbol, report.product)
