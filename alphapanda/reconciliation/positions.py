"""The broker's net quantities beside what fills and trades add up to. Quantities only.

Average prices are not compared: brokers restate them overnight and count them in their own ways, while the trades they
are made of are compared one by one, to the paisa.

Delivery (CNC, and MTF with borrowed money) leaves the positions of a broker overnight and comes back as holdings, under
whichever of the two exchanges the depository lists it; shares sold from there are a negative position until they are
delivered. So positions and holdings of a share are added up over products and exchanges, and must be at least what the
ledger has. More is no drift where there are holdings, or where the ledger sold what it never bought: those shares were
there before the ledger was.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from alphapanda.domain.execution import HoldingReport, PositionReport, TradeReport
from alphapanda.domain.vocabulary import Product
from alphapanda.reconciliation.outcome import DriftKind, Finding
from alphapanda.reconciliation.views import Account, LedgerView, account_of

_DELIVERED = frozenset({Product.CNC, Product.MTF})
_SHOWN_TRADES = 20


def expected(ledger: LedgerView, to_come: Sequence[TradeReport], ahead: Mapping[Account, int]) -> dict[Account, int]:
    """The ledger's quantities with `to_come` booked and without the fills it is `ahead` of the trades read."""
    quantities = defaultdict(int, ledger.positions)
    for trade in to_come:
        quantities[account_of(trade)] += trade.side.sign * trade.quantity
    for account, quantity in ahead.items():
        quantities[account] -= quantity
    return dict(quantities)


def compare_positions(
    ours: Mapping[Account, int],
    theirs: Sequence[PositionReport],
    trades: Sequence[TradeReport],
    *,
    moving: frozenset[Account],
) -> Iterator[Finding]:
    """Everything but delivery. `moving`: traded while the broker was being read."""
    net: defaultdict[Account, int] = defaultdict(int)
    for position in theirs:
        net[account_of(position)] += position.quantity
    for account in sorted({*ours, *net} - moving):
        if account.product in _DELIVERED or ours.get(account, 0) == net[account]:
            continue
        detail = f"{account}: the broker has {net[account]}, the ledger {ours.get(account, 0)}"
        kind = DriftKind.POSITION_QUANTITY if account in ours else DriftKind.POSITION_UNEXPLAINED
        traded = [trade for trade in trades if account_of(trade) == account]
        evidence = {"broker": net[account], "ledger": ours.get(account, 0), "trades_of_the_day": _ids(traded)}
        yield Finding(kind, str(account), detail, evidence)


def compare_delivery(
    ours: Mapping[Account, int],
    positions: Sequence[PositionReport],
    holdings: Sequence[HoldingReport],
    *,
    moving: frozenset[Account],
) -> Iterator[Finding]:
    """By the share: positions of the day and holdings together."""
    wanted = _by_symbol(
        (account.tradingsymbol, quantity) for account, quantity in ours.items() if account.product in _DELIVERED
    )
    today = _by_symbol((each.tradingsymbol, each.quantity) for each in positions if each.product in _DELIVERED)
    held = _by_symbol((each.tradingsymbol, each.quantity) for each in holdings)
    for symbol in sorted({*wanted, *today} - {account.tradingsymbol for account in moving}):
        position, holding, ledger = today.get(symbol, 0), held.get(symbol, 0), wanted.get(symbol, 0)
        from_before = holding > 0 or ledger < 0
        if position + holding == ledger or (from_before and position + holding > ledger):
            continue
        kind = DriftKind.POSITION_QUANTITY if symbol in wanted else DriftKind.POSITION_UNEXPLAINED
        detail = f"{symbol}: the broker has {position + holding} for delivery, the ledger {ledger}"
        evidence = {"position": position, "holdings": holding, "ledger": ledger}
        yield Finding(kind, delivery_key(symbol), detail, evidence)


def delivery_key(tradingsymbol: str) -> str:
    return f"{tradingsymbol}:delivery"


def _by_symbol(quantities: Iterable[tuple[str, int]]) -> dict[str, int]:
    summed: defaultdict[str, int] = defaultdict(int)
    for symbol, quantity in quantities:
        summed[symbol] += quantity
    return dict(summed)


def _ids(trades: Sequence[TradeReport]) -> list[str]:
    return [trade.trade_id for trade in trades[:_SHOWN_TRADES]]
