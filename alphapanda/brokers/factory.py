"""Adapters by name: the one place that knows which brokers there are."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.brokers.protocol import BrokerAdapter
from alphapanda.domain.calendar import Calendar
from alphapanda.domain.execution import OrderReport
from alphapanda.domain.ids import Broker
from alphapanda.ledger.instruments import InstrumentCache
from alphapanda.settings import Settings


class RunningBroker(BrokerAdapter, Protocol):
    """An adapter with work of its own beside the calls: matching, order updates."""

    async def run(self) -> None:
        """Until cancelled. An exception ends the broker's process, which is started again."""
        ...


async def _ignore(_: object = None) -> None: ...


def build_broker(
    name: Broker,
    settings: Settings,
    engine: AsyncEngine,
    redis: "Redis",
    *,
    calendar: Calendar | None,
    on_update: Callable[[OrderReport], Awaitable[None]] = _ignore,
    on_reconnect: Callable[[], Awaitable[None]] = _ignore,
    on_session_lost: Callable[[str], Awaitable[None]] = _ignore,
) -> RunningBroker:
    """The adapter of a broker. Heavy libraries are imported for the broker that needs them only.

    `on_update` is a nudge: an order changed. `on_reconnect`: updates may have been lost, the whole book is to be read.
    `on_session_lost`: something other than a call noticed that the session is dead. Raises SettingsError.
    """
    if name == "zerodha":
        from alphapanda.brokers.zerodha.adapter import ZerodhaBroker  # noqa: PLC0415
        from alphapanda.live.limits import AccountLimits  # noqa: PLC0415
        from alphapanda.sessions.tokens import TokenStore  # noqa: PLC0415
        from alphapanda.sessions.vault import Vault  # noqa: PLC0415

        return ZerodhaBroker(
            name,
            settings.zerodha,
            TokenStore(engine, Vault.open(settings)),
            AccountLimits(redis, name, settings.zerodha.limits),
            on_update=on_update,
            on_reconnect=on_reconnect,
            on_session_lost=on_session_lost,
        )
    from alphapanda.brokers.paper.adapter import PaperBroker  # noqa: PLC0415

    return PaperBroker(name, engine, redis, settings.paper, InstrumentCache(engine), calendar, on_update)
