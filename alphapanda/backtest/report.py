"""The report of a run as one JSON-ready document: `fills`, `orders`, `equity`, `summary`, and the `trades` behind it.

Rupees are strings with their paisa, moments RFC 3339 in UTC, ratios floats; what is not known is null, never 0. The
same run gives the same document: nothing of the machine or the hour is in it.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from alphapanda.backtest.desk import FillRecord, OrderRecord
from alphapanda.backtest.engine import EquityPoint, Outcome, Rules
from alphapanda.backtest.rendering import Document, iso, moment, price, ratio, rupees
from alphapanda.backtest.summary import summary
from alphapanda.backtest.trades import Trade, round_trips
from alphapanda.domain.instrument import Instrument
from alphapanda.strategies.registry import Deployment


def document(
    outcome: Outcome, deployments: Sequence[Deployment], instruments: Mapping[str, Instrument], rules: Rules
) -> Document:
    """The whole report. `instruments` are those of the data, by key."""
    trades = round_trips(outcome.desk.fills)
    return {
        "summary": summary(outcome, deployments, instruments, rules, trades),
        "equity": list(_equity(outcome.equity)),
        "orders": [_order(order) for order in outcome.desk.orders.values()],
        "fills": [_fill(fill) for fill in outcome.desk.fills],
        "trades": [_trade(trade) for trade in trades],
    }


def _equity(points: Sequence[EquityPoint]) -> Iterator[Document]:
    """The curve; `drawdown` is the fall from the highest equity so far, as a share of it."""
    high = Decimal(0)
    for point in points:
        high = max(high, point.equity)
        yield {
            "at": moment(point.at),
            "equity": rupees(point.equity),
            "exposure": rupees(point.exposure),
            "drawdown": ratio(float((high - point.equity) / high)) if high > 0 else None,
        }


def _order(order: OrderRecord) -> Document:
    signal, progress = order.signal, order.progress
    return {
        "order_id": order.order_id,
        "signal_id": signal.signal_id,
        "broker": _broker(order),
        "strategy_id": signal.strategy_id,
        "exchange": signal.exchange,
        "tradingsymbol": signal.tradingsymbol,
        "side": signal.side,
        "quantity": signal.quantity,
        "filled_quantity": progress.filled_quantity,
        "average_price": price(progress.average_price),
        "order_type": signal.order_type,
        "product": signal.product,
        "price": price(signal.price),
        "trigger_price": price(signal.trigger_price),
        "validity": signal.validity,
        "state": order.state,
        "reason": str(order.why),
        "is_exit": order.is_exit,
        "tag": order.tag,
        "broker_order_id": order.broker_order_id,
        "metadata": signal.metadata,
        "created_at": iso(order.created_at),
        "updated_at": iso(order.updated_at),
    }


def _fill(fill: FillRecord) -> Document:
    trade = fill.trade
    return {
        "order_id": fill.order.order_id,
        "broker": _broker(fill.order),
        "strategy_id": fill.order.signal.strategy_id,
        "trade_id": trade.trade_id,
        "exchange": trade.exchange,
        "tradingsymbol": trade.tradingsymbol,
        "product": trade.product,
        "side": trade.side,
        "quantity": trade.quantity,
        "price": price(trade.price),
        "charges": rupees(trade.charges),
        "realised": rupees(fill.realised),
        "traded_at": iso(trade.traded_at),
    }


def _trade(trade: Trade) -> Document:
    return {
        "strategy_id": trade.strategy_id,
        "instrument": trade.instrument,
        "product": trade.product,
        "side": trade.side,
        "quantity": trade.quantity,
        "opened_at": iso(trade.opened_at),
        "entry_price": price(trade.entry_price),
        "closed_at": iso(trade.closed_at),
        "exit_price": price(trade.exit_price),
        "gross": rupees(trade.gross),
        "charges": rupees(trade.charges),
        "net": rupees(trade.net),
    }


def _broker(order: OrderRecord) -> str:
    return order.order_id.partition(":")[0]
