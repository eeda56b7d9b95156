"""The exchange's rows as the reports of the Broker protocol."""

from collections.abc import Iterable

from alphapanda.brokers.paper.records import PaperOrder, PaperPosition, PaperTrade
from alphapanda.domain.execution import OrderReport, PositionReport, TradeReport
from alphapanda.domain.money import average_price


def order_report(order: PaperOrder, trades: Iterable[PaperTrade] | None) -> OrderReport:
    """`trades` None: they were not read."""
    return OrderReport(
        broker_order_id=order.broker_order_id,
        tag=order.tag,
        status=order.status,
        exchange=order.exchange,
        tradingsymbol=order.tradingsymbol,
        side=order.side,
        product=order.product,
        order_type=order.order_type,
        quantity=order.quantity,
        filled_quantity=order.filled_quantity,
        average_price=average_price(order.turnover, order.filled_quantity),
        price=order.price,
        trigger_price=order.trigger_price,
        message=order.message,
        placed_at=order.placed_at,
        updated_at=order.updated_at,
        trades=None if trades is None else tuple(trade_report(trade) for trade in trades),
    )


def trade_report(trade: PaperTrade) -> TradeReport:
    return TradeReport(
        trade_id=trade.trade_id,
        broker_order_id=trade.broker_order_id,
        exchange=trade.exchange,
        tradingsymbol=trade.tradingsymbol,
        side=trade.side,
        product=trade.product,
        quantity=trade.quantity,
        price=trade.price,
        traded_at=trade.traded_at,
    )


def position_report(position: PaperPosition) -> PositionReport:
    return PositionReport(
        exchange=position.exchange,
        tradingsymbol=position.tradingsymbol,
        product=position.product,
        quantity=position.quantity,
        average_price=average_price(position.cost, position.quantity),
    )
