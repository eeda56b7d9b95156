"""A paper broker with the manners of Kite: a placement is answered with a number, and the book tells the rest."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from alphapanda.brokers.paper.adapter import PaperBroker
from alphapanda.domain.execution import BookStatus, OrderReport, OrderRequest, Placement
from alphapanda.domain.ids import Tag
from alphapanda.ledger.instruments import InstrumentCache
from tests.rehearsal import PAPER, Rehearsal, broker_worker_of


class KiteLike(PaperBroker):
    """`holds_back`: the book shows each order as pending, until it is set to False. `forgets`: it shows none of them,
    as the book of another day."""

    holds_back = False
    forgets = False
    reads = 0
    told_with_placement: dict[str, Any] | None = None
    """Given: the placement is answered with the row, changed by this."""
    shown: dict[str, Any] = {}  # noqa: RUF012 - replaced as a whole
    """What the book shows otherwise than it is."""

    async def place(self, request: OrderRequest) -> Placement:
        placed = await super().place(request)
        if self.told_with_placement is None or placed.report is None:
            return Placement(broker_order_id=placed.broker_order_id)
        return placed.model_copy(update={"report": placed.report.model_copy(update=self.told_with_placement)})

    async def order(self, broker_order_id: str) -> OrderReport | None:
        return self._seen(await super().order(broker_order_id))

    async def find_by_tag(self, tag: Tag) -> OrderReport | None:
        return self._seen(await super().find_by_tag(tag))

    def _seen(self, report: OrderReport | None) -> OrderReport | None:
        self.reads += 1
        if self.forgets:
            return None
        if report is None or not self.holds_back:
            return report and report.model_copy(update=self.shown)
        return report.model_copy(update={"status": BookStatus.PENDING, "filled_quantity": 0, "trades": ()})


@contextlib.asynccontextmanager
async def kite_like(desk: Rehearsal) -> AsyncIterator[KiteLike]:
    """The desk's broker worker served by such a broker. `desk` runs without one of its own."""
    settings, instruments = desk.settings.paper, InstrumentCache(desk.engine)
    broker = KiteLike(PAPER, desk.engine, desk.redis, settings, instruments, None, desk.watch.on_update)
    async with broker_worker_of(replace(desk, broker=broker)):
        yield broker
