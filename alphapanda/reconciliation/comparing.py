"""Reconciliation: the ledger beside the broker, as a pure function of what was read of both.

Orders are on their way while this looks, and the two sides are read at different moments. What makes the comparison
sound all the same is the order of the reads:

1. The broker's **trades**, 2. its **orders**: so the order of every trade that was read is in a book that was read
   later, with its tag.
3. Its **positions**, holdings and margins, 4. its trades **once more**: what traded in between is *moving*, and its
   position is not judged in this run.
5. The **ledger** last, in one snapshot. A tag is stored before its order is sent, so whatever of ours is in the book
   is in this ledger, even where the reply was lost and no number is known yet. Fills the ledger has beyond the trades
   that were read are taken out again before positions are compared.

A trade is one of ours if the tag or the number of its order is in the ledger; it is then left to the order's workflow,
which is nudged. It belongs to somebody else only if the row of its order was read and is none of ours. A part that
could not be read says nothing: it yields no finding and no repair, and settles nothing that was found before.

Two runs apart must agree (`Grace`) before a difference is called drift or a trade is adopted: brokers' lists lag
behind each other, and what is on its way arrives. What is already adopted is never given to an order later, and the
other way round: a trade is booked once.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from alphapanda.domain.execution import TradeReport
from alphapanda.reconciliation.orders import compare_orders
from alphapanda.reconciliation.outcome import (
    ABOUT_ORDERS,
    ABOUT_POSITIONS,
    ABOUT_TRADES,
    Adopt,
    DriftKind,
    Finding,
    Nudge,
    Outcome,
)
from alphapanda.reconciliation.positions import compare_delivery, compare_positions, delivery_key, expected
from alphapanda.reconciliation.trades import compare_fills, compare_trades, unbooked, unseen
from alphapanda.reconciliation.views import Account, BrokerView, LedgerView, Unread, account_of

Told = Finding | Nudge | Adopt


def reconcile(ledger: LedgerView, broker: BrokerView) -> Outcome:
    """What to repair, what differs, and what could be judged. Never raises; the same views give the same outcome."""
    told: list[Told] = []
    judged: frozenset[DriftKind] = frozenset()
    moving: frozenset[Account] = frozenset()
    if not isinstance(broker.orders, Unread):
        told += compare_orders(ledger, broker.orders)
        judged |= ABOUT_ORDERS
        if not isinstance(broker.trades, Unread):
            told += compare_trades(ledger, broker.trades, broker.orders)
            late = [fill for fill in unseen(ledger, broker.trades, broker.day) if fill.booked_at < broker.began_at]
            told += compare_fills(ledger, late)
            judged |= ABOUT_TRADES
            if not isinstance(broker.later_trades, Unread):
                moving = _traded_since(broker.trades, broker.later_trades)
                told += _positions(ledger, broker, broker.trades, moving)
                if not isinstance(broker.positions, Unread) and not isinstance(broker.holdings, Unread):
                    judged |= ABOUT_POSITIONS
    undecided = {str(account) for account in moving} | {delivery_key(account.tradingsymbol) for account in moving}
    return _sorted_out(told, judged, frozenset(undecided))


def _traded_since(earlier: Sequence[TradeReport], later: Sequence[TradeReport]) -> frozenset[Account]:
    known = {trade.trade_id for trade in earlier}
    return frozenset(account_of(trade) for trade in later if trade.trade_id not in known)


def _positions(
    ledger: LedgerView, broker: BrokerView, trades: Sequence[TradeReport], moving: frozenset[Account]
) -> Iterable[Finding]:
    if isinstance(broker.positions, Unread):
        return
    ahead: defaultdict[Account, int] = defaultdict(int)
    for fill in unseen(ledger, trades, broker.day):
        ahead[fill.account] += fill.signed
    ours = expected(ledger, unbooked(ledger, trades), ahead)
    yield from compare_positions(ours, broker.positions, trades, moving=moving)
    if not isinstance(broker.holdings, Unread):
        yield from compare_delivery(ours, broker.positions, broker.holdings, moving=moving)


def _sorted_out(told: Iterable[Told], judged: frozenset[DriftKind], undecided: frozenset[str]) -> Outcome:
    findings: list[Finding] = []
    nudges: dict[str, Nudge] = {}
    adoptions: list[Adopt] = []
    for each in told:
        match each:
            case Finding():
                findings.append(each)
            case Nudge():
                known = nudges.setdefault(each.order.order_id, each)
                numbers = dict.fromkeys((*known.numbers, *each.numbers))
                nudges[each.order.order_id] = replace(known, numbers=tuple(numbers))
            case Adopt():
                adoptions.append(each)
    return Outcome(tuple(findings), tuple(nudges.values()), tuple(adoptions), judged, undecided)
