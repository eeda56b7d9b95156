"""Two sets of books, in the few words the tests speak in."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from alphapanda.domain.execution import (
    BookStatus,
    HoldingReport,
    MarginReport,
    OrderReport,
    PositionReport,
    TradeReport,
)
from alphapanda.domain.ids import Broker, OrderId, Tag, WorkflowId, order_tag
from alphapanda.domain.states import OrderState
from alphapanda.domain.vocabulary import Exchange, OrderType, Product, Side
from alphapanda.reconciliation.comparing import reconcile
from alphapanda.reconciliation.outcome import DriftKind, Outcome
from alphapanda.reconciliation.views import Account, BookedFill, BrokerView, KnownOrder, LedgerView, Unread

BROKER = Broker("zerodha")
NOW = datetime(2026, 11, 19, 5, 0, tzinfo=UTC)  # a Thursday, 10:30 in India
TODAY = date(2026, 11, 19)
INFY = Account("NSE", "INFY", "MIS")
LOST = Unread("BROKER_UNAVAILABLE: the connection was refused")


def tag_of(name: str) -> Tag:
    return order_tag(WorkflowId(name))


def ours(name: str = "one", **facts: Any) -> KnownOrder:
    """An order of 10 INFY that rests, with number `N-{name}` and the tag of its name."""
    chosen: dict[str, Any] = {
        "order_id": OrderId(f"{BROKER}:{name}"),
        "workflow_id": WorkflowId(f"order:{BROKER}:{name}"),
        "state": OrderState.OPEN,
        "quantity": 10,
        "filled_quantity": 0,
        "tag": tag_of(name),
        "broker_order_id": f"N-{name}",
        "updated_on": TODAY,
    }
    return KnownOrder(**{**chosen, **facts})


def row(name: str = "one", **facts: Any) -> OrderReport:
    """The row of the same order in the broker's book."""
    chosen: dict[str, Any] = {
        "broker_order_id": f"N-{name}",
        "tag": tag_of(name),
        "status": BookStatus.OPEN,
        "exchange": Exchange.NSE,
        "tradingsymbol": "INFY",
        "side": Side.BUY,
        "product": Product.MIS,
        "order_type": OrderType.LIMIT,
        "quantity": 10,
        "filled_quantity": 0,
        "average_price": None,
        "updated_at": NOW,
    }
    return OrderReport(**{**chosen, **facts})


def trade(trade_id: str = "T1", order: str = "one", **facts: Any) -> TradeReport:
    """A buy of 4 INFY at 1500 for intraday."""
    chosen: dict[str, Any] = {
        "trade_id": trade_id,
        "broker_order_id": f"N-{order}",
        "exchange": Exchange.NSE,
        "tradingsymbol": "INFY",
        "side": Side.BUY,
        "product": Product.MIS,
        "quantity": 4,
        "price": Decimal(1500),
        "traded_at": NOW - timedelta(minutes=5),
    }
    return TradeReport(**{**chosen, **facts})


def booked(report: TradeReport, order: str | None = "one", **facts: Any) -> BookedFill:
    """The trade as the ledger has it."""
    fill = BookedFill(
        trade_id=report.trade_id,
        order_id=None if order is None else OrderId(f"{BROKER}:{order}"),
        account=Account(report.exchange, report.tradingsymbol, report.product),
        side=report.side,
        quantity=report.quantity,
        price=report.price,
        traded_at=report.traded_at,
        booked_at=report.traded_at,
    )
    return replace(fill, **facts)


def position(quantity: int, account: Account = INFY) -> PositionReport:
    exchange, symbol, product = account
    return PositionReport(
        exchange=Exchange(exchange), tradingsymbol=symbol, product=Product(product), quantity=quantity,
        average_price=None,
    )  # fmt: skip


def holding(quantity: int, tradingsymbol: str = "INFY", exchange: str = "NSE") -> HoldingReport:
    return HoldingReport(
        exchange=Exchange(exchange), tradingsymbol=tradingsymbol, quantity=quantity, average_price=None
    )


def ledger(
    *orders: KnownOrder, fills: tuple[BookedFill, ...] = (), positions: Mapping[Account, int] | None = None
) -> LedgerView:
    """Positions are what the fills come to, unless given."""
    if positions is None:
        positions = {}
        for fill in fills:
            positions[fill.account] = positions.get(fill.account, 0) + fill.signed
    return LedgerView(BROKER, orders, fills, positions)


def broker(**parts: Any) -> BrokerView:
    """All read, and empty where not given; the trades come out the same the second time."""
    chosen: dict[str, Any] = {"trades": (), "orders": (), "positions": (), "holdings": ()}
    chosen |= {name: part if isinstance(part, Unread) else tuple(part) for name, part in parts.items()}
    chosen.setdefault("later_trades", chosen["trades"])
    margins = MarginReport(cash=Decimal(1), available=Decimal(1), used=Decimal(0))
    return BrokerView(began_at=NOW, day=TODAY, **{"margins": margins, **chosen})


def kinds(outcome: Outcome) -> list[DriftKind]:
    return [finding.kind for finding in outcome.findings]


def nudged(outcome: Outcome) -> list[str]:
    return [nudge.order.order_id.partition(":")[2] for nudge in outcome.nudges]


def compare(view: LedgerView, **parts: Any) -> Outcome:
    return reconcile(view, broker(**parts))
