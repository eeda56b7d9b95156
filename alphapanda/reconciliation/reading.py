"""One round of reads of a broker: each part is read, or says why not."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeVar

from alphapanda.brokers.protocol import BrokerAdapter, BrokerError, NotAuthenticated
from alphapanda.domain.calendar import trading_date
from alphapanda.reconciliation.views import BrokerView, Unread

T = TypeVar("T")


class _Round:
    """A dead session ends the round: the other calls would only say so again, at the account's expense."""

    def __init__(self) -> None:
        self._ended: Unread | None = None

    async def read(self, call: Callable[[], Awaitable[T]]) -> T | Unread:
        if self._ended is not None:
            return self._ended
        try:
            return await call()
        except BrokerError as error:
            unread = Unread(f"{error.code}: {error}")
            if isinstance(error, NotAuthenticated):
                self._ended = unread
            return unread

    async def read_all(self, call: Callable[[], Awaitable[Sequence[T]]]) -> tuple[T, ...] | Unread:
        found = await self.read(call)
        return found if isinstance(found, Unread) else tuple(found)


async def read_broker(broker: BrokerAdapter, *, now: Callable[[], datetime]) -> BrokerView:
    """Six calls, one after the other, in the order that `reconcile` relies on. Raises no BrokerError."""
    began_at = now()
    reads = _Round()
    # The arguments are evaluated from the first to the last: that is the order of the calls.
    return BrokerView(
        began_at=began_at,
        day=trading_date(began_at),
        trades=await reads.read_all(broker.trades),
        orders=await reads.read_all(broker.orders),
        positions=await reads.read_all(broker.positions),
        holdings=await reads.read_all(broker.holdings),
        margins=await reads.read(broker.margins),
        later_trades=await reads.read_all(broker.trades),
    )
