"""Tells running strategies of their fills, from the ledger: what is booked there has happened, once.

A fill may be booked long after its trade (the broker could not be read meanwhile), so besides the last minutes, which
are looked at again and again, the whole day is looked at now and then. What was traded before the feed started is not
told: that is for whoever restores the state.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.domain.ids import Broker, StrategyId
from alphapanda.domain.instrument import instrument_key
from alphapanda.domain.vocabulary import Side
from alphapanda.ledger.engine import LedgerUnavailable
from alphapanda.ledger.query_fills import FillRecord, fills_since
from alphapanda.strategies.contract import Fill

_log = structlog.get_logger(__name__)

_RECENT = timedelta(minutes=5)
_DAY = timedelta(days=1)
_LOOKS_PER_DAYS_LOOK = 60


class Told(Protocol):
    """Whoever runs the strategies; see `FeedRunner`."""

    @property
    def fills_wanted(self) -> Sequence[StrategyId]: ...
    def fill(self, strategy_id: StrategyId, fill: Fill) -> None: ...


class FillNews:
    """The fills of strategies since `since`, each once."""

    def __init__(self, engine: AsyncEngine, since: datetime) -> None:
        self._engine = engine
        self._since = since
        self._seen: dict[tuple[str, str], datetime] = {}

    async def look(
        self, strategies: Sequence[StrategyId], now: datetime, *, back: timedelta = _RECENT
    ) -> list[tuple[StrategyId, Fill]]:
        """Those traded at most `back` ago that were not given yet, oldest trade first. Raises LedgerUnavailable."""
        records = await fills_since(self._engine, strategies, max(self._since, now - back))
        new = [record for record in records if (record.broker, record.trade_id) not in self._seen]
        self._seen = {key: at for key, at in self._seen.items() if at >= now - 2 * _DAY}
        self._seen.update({(record.broker, record.trade_id): record.traded_at for record in new})
        return [(StrategyId(record.strategy_id), _fill(record)) for record in new]


def _fill(record: FillRecord) -> Fill:
    return Fill(
        instrument=instrument_key(record.exchange, record.tradingsymbol),
        side=Side(record.side),
        quantity=record.quantity,
        price=record.price,
        at=record.traded_at.timestamp(),
        broker=Broker(record.broker),
    )


async def keep_told(news: FillNews, runner: Told, *, every_s: float = 1.0) -> None:
    """Tell the runner's strategies of new fills every `every_s`, until cancelled. Costs nothing where none listens."""
    looks = 0
    reachable = True
    while True:
        await asyncio.sleep(every_s)
        wanted = runner.fills_wanted
        if not wanted:
            continue
        back = _RECENT if looks % _LOOKS_PER_DAYS_LOOK else _DAY
        try:
            found = await news.look(wanted, datetime.now(UTC), back=back)
        except LedgerUnavailable as error:
            if reachable:
                _log.warning("strategies are not told of their fills", error=str(error))
            reachable, looks = False, 0
            continue
        reachable = True
        looks += 1
        for strategy_id, fill in found:
            runner.fill(strategy_id, fill)
