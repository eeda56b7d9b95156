"""The broker's order book beside the ledger's orders."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from alphapanda.domain.execution import BookStatus, OrderReport
from alphapanda.domain.ids import TAG_LENGTH, Tag, tag_stem
from alphapanda.domain.states import TERMINAL, WORKING, OrderState
from alphapanda.reconciliation.outcome import DriftKind, Finding, Nudge
from alphapanda.reconciliation.views import KnownOrder, LedgerView

_OURS = re.compile(rf"[0-9A-Z]{{{TAG_LENGTH}}}")
_IN_DOUBT = frozenset({OrderState.UNKNOWN, OrderState.PARKED})


class Names:
    """Whose a row of the book is: by its tag, which was stored before it was sent, or by its number.

    An order that was replaced at the broker has rows with several tags of one stem, which together are the order.
    """

    def __init__(self, ledger: LedgerView) -> None:
        self._by_stem = {tag_stem(order.tag): order for order in ledger.orders if order.tag is not None}
        self._by_number = {order.broker_order_id: order for order in ledger.orders if order.broker_order_id is not None}

    def of_row(self, row: OrderReport) -> KnownOrder | None:
        found = self._by_stem.get(tag_stem(Tag(row.tag))) if row.tag is not None and is_our_form(row.tag) else None
        return found or self._by_number.get(row.broker_order_id)

    def of_number(self, broker_order_id: str) -> KnownOrder | None:
        return self._by_number.get(broker_order_id)


def is_our_form(tag: str) -> bool:
    return _OURS.fullmatch(tag) is not None


def compare_orders(ledger: LedgerView, book: Sequence[OrderReport]) -> Iterator[Finding | Nudge]:
    names = Names(ledger)
    rows: defaultdict[str, list[OrderReport]] = defaultdict(list)
    for row in book:
        order = names.of_row(row)
        if order is not None:
            rows[order.order_id].append(row)
        elif row.tag is not None and is_our_form(row.tag):
            yield _tag_unknown(row)
    for order in ledger.orders:
        shown = rows.get(order.order_id)
        if shown is not None:
            yield from _differences(order, shown)
        elif order.state in WORKING:
            yield from _absent(order)


def _differences(order: KnownOrder, rows: Sequence[OrderReport]) -> Iterator[Finding | Nudge]:
    filled = sum(row.filled_quantity for row in rows)
    has_ended = all(row.status.is_final for row in rows)
    if filled > order.filled_quantity:
        yield Nudge(order, f"the book has {filled} filled, the ledger {order.filled_quantity}", _numbers(rows))
    elif has_ended and order.state not in TERMINAL:
        yield Nudge(order, f"the book has it {rows[-1].status}, the ledger {order.state}", _numbers(rows))
    elif order.state in _IN_DOUBT and any(row.status is not BookStatus.PENDING for row in rows):
        # What the broker only holds settles nothing yet; a nudge each minute would only lengthen its history.
        yield Nudge(order, f"it is in the book, the ledger has it {order.state}", _numbers(rows))
    if not has_ended and order.state in TERMINAL - {OrderState.FILLED}:
        detail = f"{order.order_id} is {order.state} in the ledger and {rows[-1].status} in the book"
        yield Finding(DriftKind.ORDER_STILL_WORKING, order.order_id, detail, _evidence(order, rows))
    if filled < order.filled_quantity:
        detail = f"{order.order_id}: {order.filled_quantity} are filled in the ledger, {filled} in the book"
        yield Finding(DriftKind.ORDER_FILLED_MORE, order.order_id, detail, _evidence(order, rows))
    reach = sum(row.filled_quantity if row.status.is_final else row.quantity for row in rows)
    if reach > order.quantity:
        detail = f"{order.order_id}: {order.quantity} were asked for, the book holds {reach}"
        yield Finding(DriftKind.ORDER_LARGER, order.order_id, detail, _evidence(order, rows))


def _absent(order: KnownOrder) -> Iterator[Finding | Nudge]:
    # Asked by its number, a broker may know more than its book of the day shows.
    numbers = () if order.broker_order_id is None else (order.broker_order_id,)
    yield Nudge(order, f"it is not in the book, the ledger has it {order.state}", numbers)
    detail = f"{order.order_id} is {order.state} in the ledger since {order.updated_on} and not in the book"
    yield Finding(DriftKind.ORDER_NOT_IN_BOOK, order.order_id, detail, _evidence(order, ()))


def _numbers(rows: Sequence[OrderReport]) -> tuple[str, ...]:
    return tuple(row.broker_order_id for row in rows)


def _tag_unknown(row: OrderReport) -> Finding:
    detail = f"order {row.broker_order_id} has tag {row.tag}, which no order of this ledger has"
    return Finding(DriftKind.ORDER_TAG_UNKNOWN, row.broker_order_id, detail, {"book": [_row(row)]})


def _evidence(order: KnownOrder, rows: Sequence[OrderReport]) -> dict[str, Any]:
    ledger = {
        "state": order.state,
        "quantity": order.quantity,
        "filled_quantity": order.filled_quantity,
        "tag": order.tag,
        "broker_order_id": order.broker_order_id,
        "updated_on": order.updated_on.isoformat(),
    }
    return {"ledger": ledger, "book": [_row(row) for row in rows]}


def _row(row: OrderReport) -> dict[str, Any]:
    chosen = {
        "broker_order_id", "tag", "status", "exchange", "tradingsymbol", "side", "product", "quantity",
        "filled_quantity", "message", "updated_at",
    }  # fmt: skip
    return row.model_dump(mode="json", include=chosen)
