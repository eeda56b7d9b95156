"""A storm of two orders and one trade by hand that ended well, as both sides tell it; tests spoil it."""

import copy
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from alphapanda.domain.ids import Broker, SignalId, order_id, order_tag, order_workflow_id
from alphapanda.domain.vocabulary import OrderType, Product, Side
from alphapanda.kitesim.faults import Fault
from alphapanda.rehearsal.books import BrokerBook, DeskBook
from alphapanda.rehearsal.conduct import Conduct
from alphapanda.rehearsal.plan import Arming, KillWorker, Kind, PlannedOrder, Storm
from alphapanda.rehearsal.verdict import Aftermath, Verdict, judge
from alphapanda.settings import CallLimits

ZERODHA = Broker("zerodha")
FILLED, CANCELLED = SignalId("storm-1"), SignalId("storm-2")


def tag_of(signal: SignalId) -> str:
    return order_tag(order_workflow_id(ZERODHA, signal))


def _planned(signal: SignalId, *faults: Arming) -> PlannedOrder:
    return PlannedOrder(signal, Kind.MARKET, "INFY", Side.BUY, 10, OrderType.MARKET, Product.MIS, faults=faults)


def _row(number: str, tag: str | None, status: str, filled: int, quantity: int = 10) -> dict[str, Any]:
    return {
        "order_id": number, "placement": number, "tag": tag, "placed_by": "SIM001", "status": status,
        "quantity": quantity, "filled_quantity": filled,
    }  # fmt: skip


def _trade(number: str, order: str, quantity: int, price: str) -> dict[str, Any]:
    return {
        "trade_id": number, "order_id": order, "exchange": "NSE", "tradingsymbol": "INFY", "product": "MIS",
        "transaction_type": "BUY", "quantity": quantity, "average_price": Decimal(price),
    }  # fmt: skip


def _order(signal: SignalId, state: str, filled: int) -> dict[str, Any]:
    return {
        "order_id": order_id(ZERODHA, signal), "signal_id": signal, "tag": tag_of(signal), "state": state,
        "quantity": 10, "filled_quantity": filled, "reason": "as it happened",
    }  # fmt: skip


def _fill(trade: str, signal: SignalId | None, quantity: int, price: str) -> dict[str, Any]:
    return {
        "trade_id": trade, "order_id": None if signal is None else order_id(ZERODHA, signal), "exchange": "NSE",
        "tradingsymbol": "INFY", "product": "MIS", "side": "BUY", "quantity": quantity, "price": price,
        "strategy_id": "EXTERNAL" if signal is None else "storm",
    }  # fmt: skip


def _position(quantity: int) -> dict[str, Any]:
    return {"exchange": "NSE", "tradingsymbol": "INFY", "product": "MIS", "quantity": quantity}


_STATE: dict[str, Any] = {
    "orders": [
        _row("1", tag_of(FILLED), "COMPLETE", 10),
        _row("2", tag_of(CANCELLED), "CANCELLED", 4),
        _row("3", None, "COMPLETE", 5, 5),
    ],
    "trades": [
        _trade("100", "1", 10, "1500.05"),
        _trade("101", "2", 4, "1499.1"),
        _trade("102", "3", 5, "1500"),
    ],
    "positions": [_position(19)],
    "cash": {"flow": "-28496.90"},
    "counters": {
        "peaks": {"orders_1s": 10, "orders_60s": 400, "reads_1s": 10},
        "requests": {"place": 2, "cancel": 1},
        "faults": {"reset-after": 1},
    },
}
_ORDERS = [_order(FILLED, "FILLED", 10), _order(CANCELLED, "CANCELLED", 4)]
_FILLS = [
    _fill("1:100", FILLED, 10, "1500.05"), _fill("2:101", CANCELLED, 4, "1499.10"), _fill("3:102", None, 5, "1500.00"),
]  # fmt: skip


def _conduct() -> Conduct:
    return Conduct(
        signals={FILLED: 1, CANCELLED: 3},
        orders_of={signal: {str(order_id(ZERODHA, signal))} for signal in (FILLED, CANCELLED)},
        by_hand={"3"},
        kills=1,
    )


@dataclass
class After:
    """JSON of both sides, to be spoilt."""

    state: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(_STATE))
    orders: list[dict[str, Any]] = field(default_factory=lambda: copy.deepcopy(_ORDERS))
    fills: list[dict[str, Any]] = field(default_factory=lambda: copy.deepcopy(_FILLS))
    positions: list[dict[str, Any]] = field(default_factory=lambda: [_position(19)])
    drift: list[dict[str, Any]] = field(default_factory=list)
    conduct: Conduct = field(default_factory=_conduct)

    def judged(self) -> Verdict:
        storm = Storm(7, (_planned(FILLED, Arming(Fault.RESET_AFTER)), _planned(CANCELLED), KillWorker((FILLED,))))
        desk = DeskBook.of(self.orders, self.fills, self.positions, self.drift)
        return judge(Aftermath(storm, self.conduct, desk, BrokerBook.of(self.state), CallLimits()))

    def complaints(self) -> dict[str, tuple[str, ...]]:
        """What fails, with its evidence."""
        return {check.name: check.evidence for check in self.judged().checks if not check.ok}
