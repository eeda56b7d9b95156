"""A broker's session and switch in the ledger: read right before every send, changed with who, when and why."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.domain.ids import Broker, OrderId
from alphapanda.domain.vocabulary import SessionState, TradingSwitch
from alphapanda.ledger.engine import LedgerEngine
from alphapanda.ledger.fast import Statement


@dataclass(frozen=True, slots=True)
class BrokerState:
    broker: Broker
    session: SessionState
    session_since: datetime
    switch: TradingSwitch
    switch_since: datetime
    switch_reason: str
    switch_actor: str


_REGISTER = text("""
WITH portfolio AS (
    INSERT INTO portfolios (broker, created_at) VALUES (:broker, :now) ON CONFLICT DO NOTHING RETURNING 1
)
INSERT INTO broker_states (broker, session, session_since, switch, switch_since, switch_reason, switch_actor)
VALUES (:broker, 'UNKNOWN', :now, 'ENABLED', :now, '', 'system') ON CONFLICT DO NOTHING
""")

_READ = text("SELECT * FROM broker_states WHERE broker = :broker")

_SET_SWITCH = text("""
WITH changed AS (
    UPDATE broker_states SET switch = :switch, switch_since = :at, switch_reason = :reason, switch_actor = :actor
    WHERE broker = :broker AND (switch, switch_reason, switch_actor) IS DISTINCT FROM (:switch, :reason, :actor)
        AND switch_since <= :at
    RETURNING broker
)
INSERT INTO broker_events (broker, at, kind, to_state, reason, actor)
SELECT broker, :at, 'switch', :switch, :reason, :actor FROM changed
""")

_SET_SESSION = text("""
WITH changed AS (
    UPDATE broker_states SET session = :session, session_since = :at
    WHERE broker = :broker AND session_since <= :at
        AND (session <> :session OR (session = 'ACTIVE' AND session_since < :at))
        AND NOT (session = 'LOGIN_REQUIRED' AND :session = 'EXPIRED')
    RETURNING broker
)
INSERT INTO broker_events (broker, at, kind, to_state, reason, actor)
SELECT broker, :at, 'session', :session, :reason, :actor FROM changed
""")


async def register_brokers(engine: AsyncEngine, brokers: Iterable[Broker], *, now: datetime) -> None:
    """Make sure each broker has its portfolio and state; changes nothing where they exist."""
    async with engine.begin() as connection:
        for broker in brokers:
            await connection.execute(_REGISTER, {"broker": broker, "now": now})


async def read_broker_state(engine: AsyncEngine, broker: Broker) -> BrokerState | None:
    async with engine.connect() as connection:
        row = (await connection.execute(_READ, {"broker": broker})).one_or_none()
    if row is None:
        return None
    return BrokerState(
        broker=Broker(row.broker),
        session=SessionState(row.session),
        session_since=row.session_since,
        switch=TradingSwitch(row.switch),
        switch_since=row.switch_since,
        switch_reason=row.switch_reason,
        switch_actor=row.switch_actor,
    )


async def set_switch(
    engine: AsyncEngine, broker: Broker, switch: TradingSwitch, *, actor: str, reason: str, at: datetime
) -> None:
    """Set the switch unless a later decision stands already; a repeat changes nothing."""
    async with engine.begin() as connection:
        await connection.execute(
            _SET_SWITCH, {"broker": broker, "switch": switch, "actor": actor, "reason": reason, "at": at}
        )


async def set_session(
    engine: AsyncEngine, broker: Broker, session: SessionState, *, actor: str, reason: str, at: datetime
) -> None:
    """Set the session unless a later fact stands already; a repeat changes nothing.

    A login while the session lives makes a new one, so that what is told of the old one is old. That a call finds
    no session where none was ever opened is no news.
    """
    async with engine.begin() as connection:
        await connection.execute(
            _SET_SESSION, {"broker": broker, "session": session, "actor": actor, "reason": reason, "at": at}
        )


_RECORD_PREFLIGHT = text("""
INSERT INTO broker_events (broker, at, kind, to_state, reason, actor)
VALUES (:broker, :at, 'preflight', :session, :reason, 'preflight')
""")


async def record_preflight(
    engine: AsyncEngine, broker: Broker, session: SessionState, *, reason: str, at: datetime
) -> None:
    """Keep on record that nobody was logged in before an open. The session itself is set by who watches it."""
    async with engine.begin() as connection:
        await connection.execute(_RECORD_PREFLIGHT, {"broker": broker, "session": session, "reason": reason, "at": at})


@dataclass(frozen=True, slots=True)
class Gate:
    """What may still hold an order back in the last moment before it is sent."""

    switch: TradingSwitch
    cancel_requested: bool


_GATE = Statement("""
SELECT b.switch, o.cancel_requested FROM orders o JOIN broker_states b USING (broker) WHERE o.order_id = :order_id
""")


async def read_gate(engine: LedgerEngine, order_id: OrderId) -> Gate:
    """The switch and the order's own cancel request as they stand this instant."""
    row = (await engine.fast.fetch(_GATE, {"order_id": order_id}))[0]
    return Gate(TradingSwitch(row["switch"]), row["cancel_requested"])
