"""How the desk's instrument dump stands, for who shows it."""

from dataclasses import dataclass
from datetime import date, datetime

from alphapanda.domain.calendar import Calendar
from alphapanda.instruments.freshness import Freshness, freshness
from alphapanda.ledger.query_instruments import oldest_dump
from api.services import Services


@dataclass(frozen=True, slots=True)
class DumpStatus:
    """`as_of` is the oldest of the exchanges' newest dumps; `at_stake`: an active broker trades real money."""

    as_of: date | None
    at_stake: bool
    freshness: Freshness


async def dump_status(services: Services, *, now: datetime) -> DumpStatus:
    """Raises LedgerUnavailable."""
    settings = services.settings
    as_of = await oldest_dump(services.ledger)
    at_stake = any(settings.trades_real_money_at(broker) for broker in settings.active_brokers)
    limit = settings.risk.max_dump_age_days if at_stake else None
    calendar = services.calendar or Calendar.packaged()
    return DumpStatus(as_of, at_stake, freshness(as_of, now, calendar, max_age_days=limit))
