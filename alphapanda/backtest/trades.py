"""Round trips: from flat to flat of one strategy in one instrument and product, out of its fills. Pure and exact.

A fill that carries a position through zero ends one trade and begins the next; its charges are shared by quantity.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from alphapanda.backtest.desk import FillRecord, PositionOf
from alphapanda.domain.money import ZERO, average_price, to_paisa
from alphapanda.domain.vocabulary import Product, Side


@dataclass(frozen=True, slots=True)
class Trade:
    """`quantity` is the largest that was open. Prices are averages; `exit_*` are None and results open while it is."""

    strategy_id: str
    instrument: str
    product: Product
    side: Side
    quantity: int
    opened_at: datetime
    entry_price: Decimal | None
    closed_at: datetime | None
    exit_price: Decimal | None
    gross: Decimal | None
    charges: Decimal

    @property
    def net(self) -> Decimal | None:
        return None if self.gross is None else self.gross - self.charges


@dataclass(slots=True)
class _Open:
    side: Side
    opened_at: datetime
    quantity: int = 0
    most: int = 0
    entered: int = 0
    left: int = 0
    paid_in: Decimal = ZERO
    paid_out: Decimal = ZERO
    charges: Decimal = ZERO

    def take(self, side: Side, quantity: int, price: Decimal, charges: Decimal) -> None:
        self.charges += charges
        if side is self.side:
            self.entered += quantity
            self.paid_in += quantity * price
            self.quantity += quantity
        else:
            self.left += quantity
            self.paid_out += quantity * price
            self.quantity -= quantity
        self.most = max(self.most, self.quantity)

    def trade(self, whose: PositionOf, closed_at: datetime | None) -> Trade:
        strategy, instrument, product = whose
        return Trade(
            strategy_id=strategy,
            instrument=instrument,
            product=product,
            side=self.side,
            quantity=self.most,
            opened_at=self.opened_at,
            entry_price=average_price(self.paid_in, self.entered),
            closed_at=closed_at,
            exit_price=average_price(self.paid_out, self.left),
            gross=None if closed_at is None else (self.paid_out - self.paid_in) * self.side.sign,
            charges=self.charges,
        )


def round_trips(fills: Iterable[FillRecord]) -> list[Trade]:
    """Closed trades in the order they ended, then those still open."""
    open_trades: dict[PositionOf, _Open] = {}
    closed: list[Trade] = []
    for fill in fills:
        trade = fill.trade
        whose = (fill.order.signal.strategy_id, trade.key, trade.product)
        left, charges = trade.quantity, trade.charges
        current = open_trades.get(whose)
        if current is not None and trade.side is not current.side:
            closing = min(left, current.quantity)
            share = charges if closing == left else to_paisa(charges * closing / left)
            current.take(trade.side, closing, trade.price, share)
            left, charges = left - closing, charges - share
            if current.quantity == 0:
                closed.append(current.trade(whose, trade.traded_at))
                del open_trades[whose]
                current = None
        if left:
            if current is None:
                current = open_trades[whose] = _Open(trade.side, trade.traded_at)
            current.take(trade.side, left, trade.price, charges)
    return closed + [current.trade(whose, None) for whose, current in open_trades.items()]
