"""Changing and cancelling what rests at the broker, in every row that an order has there."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

from alphapanda.brokers.protocol import AmbiguousOutcome, BrokerError, BrokerRejected, BrokerUnavailable
from alphapanda.brokers.zerodha import terms
from alphapanda.brokers.zerodha.book import Group
from alphapanda.brokers.zerodha.client import Kite, KiteClient
from alphapanda.brokers.zerodha.reading import Reads, is_order_id
from alphapanda.brokers.zerodha.rows import Entry
from alphapanda.domain.execution import OrderChange
from alphapanda.domain.vocabulary import Variety
from alphapanda.live.limits import CallKind

_AMO_WAITS = "AMO REQ RECEIVED"


class Changes:
    def __init__(self, client: KiteClient, reads: Reads, protection: Decimal) -> None:
        self._client = client
        self._reads = reads
        self._protection = protection

    async def modify(self, broker_order_id: str, change: OrderChange, kind: CallKind) -> None:
        """Raises BrokerRejected when nothing was changed, AmbiguousOutcome when only some of a split order was."""
        group = await self._reads.find(broker_order_id)
        if group is None:
            raise BrokerRejected(f"there is no order {broker_order_id}")
        working = _working(group, "modified")
        if group.is_split and change.quantity is not None:
            raise BrokerRejected(
                f"quantity: order {broker_order_id} is split into {len(group.entries)} at the broker, so a new total "
                "fits none of them; cancel it and send a new one"
            )
        calls = [terms.modification(each, change, protection=self._protection) for each in working]
        for done, (each, arguments) in enumerate(zip(working, calls, strict=True)):
            try:
                await self._ask(kind, _varieties(each), partial(_modified, arguments))
            except BrokerError as error:
                if not done:
                    raise
                raise AmbiguousOutcome(f"{done} of {len(calls)} parts were changed, then: {error}") from error

    async def cancel(self, broker_order_id: str) -> None:
        """Ask for a cancel of every row still working; taken when the broker took at least one of them."""
        group = await self._reads.find(broker_order_id)
        if group is None:
            if not is_order_id(broker_order_id):  # DELETE of a path like `../../session/token` would log out
                raise BrokerRejected(f"there is no order {broker_order_id}")
            await self._cancel_row(broker_order_id, (Variety.REGULAR,))  # the broker has the last word
            return
        taken = 0
        refusal: BrokerRejected | None = None
        doubt: AmbiguousOutcome | None = None
        for each in _working(group, "cancelled"):
            try:
                await self._cancel_row(each.order_id, _varieties(each))
                taken += 1
            except BrokerRejected as error:
                refusal = error
            except AmbiguousOutcome as error:
                doubt = error  # the other rows are cancelled all the same
        if doubt is not None:
            raise doubt
        if refusal is not None and not taken:
            raise refusal

    async def _cancel_row(self, order_id: str, varieties: Sequence[str]) -> None:
        await self._ask(CallKind.CANCEL, varieties, partial(_cancelled, order_id))

    async def _ask(
        self, kind: CallKind, varieties: Sequence[str], call: Callable[[str], Callable[[Kite], Any]]
    ) -> None:
        """As each variety in turn until one is not refused; raises the first refusal where all are."""
        refusals: list[BrokerRejected] = []
        for variety in varieties:
            try:
                await self._client.order_call(kind, call(variety))
            except BrokerRejected as refusal:
                refusals.append(refusal)
            else:
                return
        raise refusals[0]


def _working(group: Group, done: str) -> tuple[Entry, ...]:
    if group.working:
        return group.working
    status = group.report().status
    if status.is_final:
        raise BrokerRejected(f"order {group.broker_order_id} is {status}: it cannot be {done}")
    raise BrokerUnavailable(f"order {group.broker_order_id} is between two legs; ask again in a moment")


def _varieties(entry: Entry) -> tuple[str, ...]:
    """What to name the row as, first try first: after the open an AMO is a regular order, whatever the book says."""
    if entry.variety != Variety.AMO:
        return (entry.variety,)
    waits = entry.word == _AMO_WAITS
    return (Variety.AMO, Variety.REGULAR) if waits else (Variety.REGULAR, Variety.AMO)


def _cancelled(order_id: str, variety: str) -> Callable[[Kite], Any]:
    return lambda kite: kite.cancel_order(variety=variety, order_id=order_id)


def _modified(arguments: dict[str, Any], variety: str) -> Callable[[Kite], Any]:
    return lambda kite: kite.modify_order(variety=variety, **arguments)
