"""The broker's trades of the day beside the booked fills."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from alphapanda.domain.calendar import trading_date
from alphapanda.domain.execution import OrderReport, TradeReport
from alphapanda.reconciliation.orders import Names
from alphapanda.reconciliation.outcome import Adopt, DriftKind, Finding, Nudge
from alphapanda.reconciliation.views import BookedFill, LedgerView, account_of

_GRID = Decimal("0.0001")
"""Of the ledger's prices."""


def unbooked(ledger: LedgerView, trades: Sequence[TradeReport]) -> list[TradeReport]:
    """Each once by its id."""
    booked = {fill.trade_id for fill in ledger.fills}
    return list({trade.trade_id: trade for trade in trades if trade.trade_id not in booked}.values())


def unseen(ledger: LedgerView, trades: Sequence[TradeReport], day: date) -> list[BookedFill]:
    """Fills of the day that are not among the trades: booked since those were read, or never made there."""
    shown = {trade.trade_id for trade in trades}
    return [fill for fill in ledger.fills if fill.trade_id not in shown and trading_date(fill.traded_at) == day]


def compare_trades(
    ledger: LedgerView, trades: Sequence[TradeReport], book: Sequence[OrderReport]
) -> Iterator[Finding | Nudge | Adopt]:
    names = Names(ledger)
    rows = {row.broker_order_id: row for row in book}
    others: defaultdict[str, list[TradeReport]] = defaultdict(list)
    for trade in unbooked(ledger, trades):
        row = rows.get(trade.broker_order_id)
        order = names.of_number(trade.broker_order_id) if row is None else names.of_row(row)
        if order is not None:
            yield Nudge(order, f"trade {trade.trade_id} is not booked", (trade.broker_order_id,))
            detail = f"{order.order_id}: trade {trade.trade_id} of {trade.quantity} at {trade.price} is not booked"
            yield Finding(DriftKind.TRADE_NOT_BOOKED, trade.trade_id, detail, {"broker": _trade(trade)})
        elif row is not None:
            others[trade.broker_order_id].append(trade)
        else:
            detail = f"trade {trade.trade_id} is of order {trade.broker_order_id}, which the book does not show"
            yield Finding(DriftKind.TRADE_WITHOUT_ORDER, trade.trade_id, detail, {"broker": _trade(trade)})
    for number, group in others.items():
        yield Adopt(number, tuple(group))
    yield from _different(ledger, trades)


def compare_fills(ledger: LedgerView, fills: Sequence[BookedFill]) -> Iterator[Finding]:
    """Fills that the broker does not show."""
    for fill in fills:
        whose = fill.order_id or "nobody's order"
        detail = f"{whose}: fill {fill.trade_id} of {fill.quantity} at {fill.price} is not among the broker's trades"
        yield Finding(DriftKind.TRADE_NOT_AT_BROKER, fill.trade_id, detail, {"ledger": _fill(fill)})


def _different(ledger: LedgerView, trades: Sequence[TradeReport]) -> Iterator[Finding]:
    booked = {fill.trade_id: fill for fill in ledger.fills}
    for trade in trades:
        fill = booked.get(trade.trade_id)
        if fill is None or _is_same(fill, trade):
            continue
        evidence = {"ledger": _fill(fill), "broker": _trade(trade)}
        detail = f"trade {trade.trade_id} is {_said(trade)} at the broker and {_said(fill)} in the ledger"
        yield Finding(DriftKind.TRADE_DIFFERS, trade.trade_id, detail, evidence)


def _is_same(fill: BookedFill, trade: TradeReport) -> bool:
    same_price = fill.price == trade.price or fill.price == trade.price.quantize(_GRID)
    return same_price and (fill.account, fill.side, fill.quantity) == (account_of(trade), trade.side, trade.quantity)


def _said(trade: TradeReport | BookedFill) -> str:
    account = trade.account if isinstance(trade, BookedFill) else account_of(trade)
    return f"{trade.side} {trade.quantity} {account} at {trade.price}"


def _trade(trade: TradeReport) -> dict[str, Any]:
    return trade.model_dump(mode="json")


def _fill(fill: BookedFill) -> dict[str, Any]:
    return {
        "order_id": fill.order_id,
        "account": str(fill.account),
        "side": fill.side,
        "quantity": fill.quantity,
        "price": str(fill.price),
        "traded_at": fill.traded_at.isoformat(),
        "booked_at": fill.booked_at.isoformat(),
    }
