"""The verdict on a storm: the desk's books against the broker's. Pure, and made to find something.

Nothing here trusts the desk: what it claims is compared with what the simulator knows to have happened.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from alphapanda.domain.states import TERMINAL, OrderState
from alphapanda.rehearsal.books import BrokerBook, BrokerOrder, DeskBook, DeskOrder, Trade
from alphapanda.rehearsal.conduct import Conduct
from alphapanda.rehearsal.plan import Kind, Storm
from alphapanda.settings import CallLimits

S = OrderState
_NEVER_PLACED = frozenset({S.REJECTED, S.CANCELLED, S.EXPIRED, S.INVALID, S.DENIED})


@dataclass(frozen=True, slots=True)
class Check:
    """`found` and `expected` are for people; `evidence` names every single thing that is wrong."""

    name: str
    found: str
    expected: str
    evidence: tuple[str, ...] = ()
    fails: bool = False

    @property
    def ok(self) -> bool:
        return not self.fails and not self.evidence


@dataclass(frozen=True, slots=True)
class Verdict:
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        return all(check.ok for check in self.checks)


@dataclass(frozen=True, slots=True)
class Aftermath:
    """All that a check may look at."""

    storm: Storm
    conduct: Conduct
    desk: DeskBook
    broker: BrokerBook
    limits: CallLimits

    def rows_by_stem(self) -> dict[str, list[BrokerOrder]]:
        rows: defaultdict[str, list[BrokerOrder]] = defaultdict(list)
        for row in self.broker.orders:
            if row.stem is not None:
                rows[row.stem].append(row)
        return rows


def judge(after: Aftermath) -> Verdict:
    return Verdict(tuple(check(after) for check in _CHECKS))


# --- checks ----------------------------------------------------------------------------------------------------


def _signals(after: Aftermath) -> Check:
    """Each signal makes one order, however often it is handed in."""
    conduct = after.conduct
    wrong = [f"{signal}: refused, {why}" for signal, why in conduct.refused.items()]
    wrong += [
        f"{signal}: made {len(orders)} orders" for signal, orders in conduct.orders_of.items() if len(orders) != 1
    ]
    wrong += [f"{planned.signal_id}: was never handed in" for planned in after.storm.orders
              if planned.signal_id not in conduct.signals]  # fmt: skip
    posted = sum(conduct.signals.values())
    return Check(
        "signals accepted", f"{len(conduct.orders_of)}, handed in {posted} times", f"{len(after.storm.orders)}",
        tuple(wrong),
    )  # fmt: skip


def _placed(after: Aftermath) -> Check:
    placements = after.broker.placements
    return Check("orders at the broker", f"{sum(placements.values())}", "those that the broker did not refuse")


def _duplicates(after: Aftermath) -> Check:
    """Neither the same tag twice, nor more traded than was asked for."""
    wrong = [f"tag {tag}: {count} orders" for tag, count in after.broker.placements.items() if count > 1]
    rows = after.rows_by_stem()
    for order in after.desk.orders:
        filled = sum(row.filled for row in rows.get(order.stem or "", ()))
        if filled > order.quantity:
            wrong.append(f"{order.order_id}: {filled} traded, {order.quantity} wanted")
    return _none("duplicates", wrong)


def _lost(after: Aftermath) -> Check:
    """Every accepted signal has come to an end that says what became of it."""
    known = {order.signal_id: order for order in after.desk.orders}
    wrong = [f"{signal}: no order of it is known" for signal in after.conduct.orders_of if signal not in known]
    for order in known.values():
        if order.state not in TERMINAL or order.state is S.FAILED:
            wrong.append(f"{order.order_id}: left {order.state} ({order.reason})")
    return _none("lost", wrong)


def _unexplained(after: Aftermath) -> Check:
    """Orders at the broker that neither we nor a known hand placed."""
    stems = {order.stem for order in after.desk.orders}
    by_hand = after.conduct.by_hand
    wrong = [
        f"order {row.order_id} (tag {row.tag}, by {row.placed_by}, {row.status})"
        for row in after.broker.orders
        if (row.stem is None and row.order_id not in by_hand) or (row.stem is not None and row.stem not in stems)
    ]
    return _none("unexplained", wrong)


def _states(after: Aftermath) -> Check:
    rows = after.rows_by_stem()
    wrong = [
        f"{order.order_id}: {complaint}"
        for order in after.desk.orders
        for complaint in _disagreements(order, rows.get(order.stem or "", ()))
    ]
    return _none("orders told differently", wrong)


def _disagreements(order: DeskOrder, rows: Sequence[BrokerOrder]) -> Iterator[str]:
    if not rows:
        if order.state not in _NEVER_PLACED or order.filled:
            yield f"{order.state} with {order.filled} filled here, and the broker never had it"
        return
    told = ", ".join(f"{row.status} {row.filled}/{row.quantity}" for row in rows)
    filled = sum(row.filled for row in rows)
    if filled != order.filled:
        yield f"{order.filled} filled here, {filled} at the broker ({told})"
    if any(not row.has_ended for row in rows):
        yield f"{order.state} here, still working at the broker ({told})"
    elif (order.state is S.FILLED) != (filled == order.quantity):
        yield f"{order.state} of {order.quantity} here, {told} at the broker"
    elif (order.state is S.REJECTED) != all(row.status == "REJECTED" for row in rows):
        yield f"{order.state} here, {told} at the broker"


def _parked(after: Aftermath) -> Check:
    parked = after.conduct.parked.values()
    resolved: defaultdict[str, int] = defaultdict(int)
    for each in parked:
        resolved[each.resolved or "by themselves"] += 1
    told = ", ".join(f"{count} {how}" for how, count in sorted(resolved.items()))
    left = [f"{order.order_id}: {order.reason}" for order in after.desk.orders if order.state is S.PARKED]
    return Check("parked, and resolved", f"{len(parked)}{f' ({told})' if told else ''}", "all resolved", tuple(left))


def _trades(after: Aftermath) -> Check:
    """Trade by trade: number, owner, instrument, side, quantity, price; those of other hands under EXTERNAL."""
    ours, theirs = _by_id(after.desk.trades), _by_id(after.broker.trades)
    wrong = [f"trade {number}: booked, and the broker never had it" for number in ours.keys() - theirs.keys()]
    wrong += [f"trade {number}: not booked ({theirs[number]})" for number in theirs.keys() - ours.keys()]
    wrong += [f"trade {number}: {ours[number]} here, {theirs[number]} at the broker"
              for number in ours.keys() & theirs.keys() if ours[number] != theirs[number]]  # fmt: skip
    wrong += [f"trade {number}: booked twice" for number in _twice(after.desk.trades)]
    wrong += [f"trade {number}: EXTERNAL and an order's at once" for number in after.desk.strangers]
    external = sum(trade.owner is None for trade in theirs.values())
    return Check(
        "trades booked", f"{len(ours)}", f"{len(theirs)}, {external} of them EXTERNAL", tuple(sorted(wrong))
    )  # fmt: skip


def _positions(after: Aftermath) -> Check:
    ours, theirs = after.desk.positions, after.broker.positions
    wrong = [f"{':'.join(account)}: {ours.get(account, 0)} here, {theirs.get(account, 0)} at the broker"
             for account in sorted(ours.keys() | theirs.keys())
             if ours.get(account, 0) != theirs.get(account, 0)]  # fmt: skip
    return Check("open positions", f"{len(ours)}", f"{len(theirs)}, the same", tuple(wrong))


def _cash(after: Aftermath) -> Check:
    ours = sum((trade.received for trade in after.desk.trades), Decimal(0))
    return Check(
        "turnover, rupees", f"{ours:,.2f}", f"{after.broker.flow:,.2f}", fails=ours != after.broker.flow
    )  # fmt: skip


def _dead_session(after: Aftermath) -> Check:
    calls = after.conduct.calls_on_dead_session
    return Check("sent on a dead session", f"{calls}", "0", fails=calls != 0)


def _rate(after: Aftermath) -> Check:
    """At the broker's door: the most order calls in any second and any minute, and the most reads in any second."""
    peaks, limits = after.broker.peaks, after.limits
    found = (peaks["orders_1s"], peaks["orders_60s"], peaks["reads_1s"])
    most = (limits.orders_per_second, limits.orders_per_minute, limits.reads_per_second)
    return Check(
        "most order calls in 1 s, 60 s; reads in 1 s",
        ", ".join(map(str, found)),
        f"{', '.join(map(str, most))} at most",
        fails=any(peak > limit for peak, limit in zip(found, most, strict=True)),
    )


def _replaced(after: Aftermath) -> Check:
    """An order modified too often is cancelled at the broker and placed anew, once per time."""
    planned = sum(order.kind is Kind.REPLACED for order in after.storm.orders)
    tags: defaultdict[str, set[str]] = defaultdict(set)
    for row in after.broker.orders:
        if row.stem is not None and row.tag is not None:
            tags[row.stem].add(row.tag)
    done = sum(len(each) > 1 for each in tags.values())
    wanted = f"1 to {planned} orders" if planned else "none"
    return Check("replaced at the broker", f"{done} orders", wanted, fails=not min(1, planned) <= done <= planned)


def _drift(after: Aftermath) -> Check:
    return _none("drift that stands", after.desk.drift)


def _kills(after: Aftermath) -> Check:
    done, wanted = after.conduct.kills, after.storm.kills
    return Check("worker killed", f"{done} times", f"{wanted} times", fails=done != wanted)


def _faults(after: Aftermath) -> Check:
    """A fault that never struck has proved nothing."""
    struck = after.broker.struck
    missing = sorted(fault.value for fault in after.storm.faults if not struck.get(fault.value))
    times = sum(struck.values())
    return Check(
        "faults that struck", f"{len(struck)} kinds, {times} times", f"all {len(after.storm.faults)} kinds",
        tuple(f"{name} never struck" for name in missing),
    )  # fmt: skip


def _at_rest(after: Aftermath) -> Check:
    return Check("came to rest", "no" if after.conduct.unsettled else "yes", "yes", tuple(after.conduct.unsettled))


_CHECKS: tuple[Callable[[Aftermath], Check], ...] = (
    _signals, _placed, _duplicates, _lost, _unexplained, _states, _parked, _trades, _positions, _cash, _dead_session,
    _rate, _replaced, _drift, _kills, _faults, _at_rest,
)  # fmt: skip


def _none(name: str, wrong: Sequence[str]) -> Check:
    return Check(name, f"{len(wrong)}", "0", tuple(wrong))


def _by_id(trades: Iterable[Trade]) -> dict[str, Trade]:
    return {trade.trade_id: trade for trade in trades}


def _twice(trades: Sequence[Trade]) -> list[str]:
    return [number for number, count in Counter(trade.trade_id for trade in trades).items() if count > 1]
