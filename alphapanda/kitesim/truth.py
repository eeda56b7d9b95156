"""The truth about the account, for verdicts: what really was accepted and traded, shown or not."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from alphapanda.kitesim import rows
from alphapanda.kitesim.orders import JobKind

if TYPE_CHECKING:
    from alphapanda.kitesim.account import Account
    from alphapanda.kitesim.sockets import Tickers


def state(account: "Account", tickers: "Tickers") -> dict[str, Any]:
    """JSON-able. Money in `cash` is text, exact; `orders` are Kite's rows plus whether they are visible and stuck.

    `placements` counts accepted placements by tag: slices and legs of one request are one. `duplicates` are the tags
    with more than one. `to_be_placed` counts orders that will come into being by themselves (`timed-out-400`).
    """
    book, user, now = account.book, account.settings.user_id, account.now()
    placements = placements_by_tag(account)
    return {
        "orders": [
            rows.order_row(order, user)
            | {"visible": order.is_visible(now), "stuck": order.is_stuck, "placement": order.placement}
            for order in book.orders.values()
        ],
        "trades": [rows.trade_row(trade) for trade in book.trades],
        "positions": account.position_rows(),
        "holdings": account.holding_rows(),
        "cash": {
            "opening": str(account.settings.starting_cash),
            "flow": str(book.portfolio.flow),
            "available": str(account.exchange.intake.available()),
        },
        "market_open": account.exchange.is_open,
        "session": {"open": account.sessions.is_open, "opened": account.sessions.state.opened},
        "pending": len(book.jobs),
        "to_be_placed": sum(job.kind is JobKind.PLACE for job in book.jobs.values()),
        "counters": {
            "requests": dict(account.requests),
            "accepted": len({order.placement for order in book.orders.values() if order.is_of_app}),
            "placements": placements,
            "duplicates": {tag: count for tag, count in placements.items() if count > 1},
            "peaks": {
                "orders_1s": account.limits.orders_second.peak,
                "orders_60s": account.limits.orders_minute.peak,
                "reads_1s": account.limits.reads_second.peak,
                "quotes_1s": account.limits.quotes_second.peak,
            },
            "faults": {fault.value: count for fault, count in account.faults.struck.items()},
            "sockets": tickers.connected,
            "updates_sent": tickers.updates_sent,
        },
    }


def placements_by_tag(account: "Account") -> dict[str, int]:
    tagged = {order.placement: order.tag for order in account.book.orders.values() if order.tag is not None}
    return dict(Counter(tagged.values()))
