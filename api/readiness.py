"""What readiness asks, of whom, and how the answers add up."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from redis.exceptions import RedisError
from temporalio.service import RPCError

from alphapanda.domain.errors import AlphaPandaError
from alphapanda.domain.ids import Broker
from alphapanda.domain.vocabulary import SessionState, TradingSwitch
from alphapanda.ledger.engine import LedgerUnavailable
from alphapanda.ledger.migrate import verify_head
from alphapanda.ledger.query_brokers import BrokerStateRecord, broker_states
from alphapanda.live import heartbeats, keys
from alphapanda.live.heartbeats import Heartbeat
from alphapanda.live.quotes import LiveUnavailable
from alphapanda.sessions.advice import login_action
from alphapanda.settings import Environment, FeedSource
from api.dumps import dump_status
from api.schemas.health import BrokerHealthOut, ComponentOut, ReadyOut, Status
from api.services import Services
from workflows.runtime import WorkflowsUnavailable

TIMEOUT_S = 1.0
"""Per component, and all are asked at once: a probe that waits longer is a probe that failed."""

T = TypeVar("T")
Asked = tuple[ComponentOut, T | None]


async def readiness(services: Services) -> ReadyOut:
    settings = services.settings
    # Without Redis nothing is lost, but no quote is known either, so no entry passes: in production that is down.
    live_required = settings.environment is Environment.PRODUCTION
    (ledger, states), (temporal, _), (live, beats) = await asyncio.gather(
        _ask(lambda: _ledger(services), LedgerUnavailable, required=True),
        _ask(lambda: _temporal(services), WorkflowsUnavailable, required=True),
        _ask(lambda: _heartbeats(services), LiveUnavailable, required=live_required),
    )
    feed = _feed(services, beats)
    brokers = [_broker(name, states, beats, feed) for name in settings.active_brokers]
    components = {"ledger": ledger, "temporal": temporal, "live": live}
    if ledger.status is Status.UP and (instruments := await _instruments(services)) is not None:
        components["instruments"] = instruments
    return ReadyOut(status=_overall(components, brokers), components=components, brokers=brokers)


def _overall(components: dict[str, ComponentOut], brokers: list[BrokerHealthOut]) -> Status:
    if any(part.required and part.status is Status.DOWN for part in components.values()):
        return Status.DOWN
    statuses = [part.status for part in components.values()] + [broker.status for broker in brokers]
    return Status.UP if all(status is Status.UP for status in statuses) else Status.DEGRADED


async def _ask(
    question: Callable[[], Awaitable[T]], unavailable: type[AlphaPandaError], *, required: bool
) -> "Asked[T]":
    """The component as its answer shows it, with the answer; None when there was none."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            answer = await question()
    except TimeoutError:
        error: AlphaPandaError = unavailable(f"no answer within {TIMEOUT_S:g} s")
    except AlphaPandaError as caught:
        error = caught
    else:
        return ComponentOut(status=Status.UP, required=required, detail="answers", next_action=None), answer
    return (
        ComponentOut(status=Status.DOWN, required=required, detail=error.message, next_action=error.next_action),
        None,
    )


async def _ledger(services: Services) -> dict[str, BrokerStateRecord]:
    await verify_head(services.ledger)
    return await broker_states(services.ledger, services.settings.active_brokers)


async def _instruments(services: Services) -> ComponentOut | None:
    """Whether the instrument dump is of today's session; None where none is needed or it cannot be told."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            status = await dump_status(services, now=datetime.now(UTC))
    except (TimeoutError, AlphaPandaError):
        return None
    if status.as_of is None and not status.at_stake:
        return None  # a rehearsal on made-up instruments
    stands = status.freshness
    return _part(Status.UP if stands.current else Status.DEGRADED, stands.detail, stands.next_action)


async def _temporal(services: Services) -> bool:
    try:
        healthy = await services.temporal.service_client.check_health(timeout=timedelta(seconds=TIMEOUT_S))
    except RPCError as error:
        raise WorkflowsUnavailable(f"Temporal does not answer: {error.status.name}") from error
    if not healthy:
        raise WorkflowsUnavailable("Temporal says that it is not serving")
    return True


Beats = dict[Broker | None, Heartbeat | None]
"""By broker its worker's heartbeat; under None the feed's."""


async def _heartbeats(services: Services) -> Beats:
    redis = services.redis
    if redis is None:
        raise LiveUnavailable("it is not known yet where Redis is")
    try:
        await redis.ping()
    except (RedisError, OSError) as error:
        raise LiveUnavailable(f"Redis does not answer: {type(error).__name__}") from error
    brokers = services.settings.active_brokers
    found = await asyncio.gather(
        heartbeats.read(redis, keys.FEED), *(heartbeats.read(redis, keys.BROKER, broker) for broker in brokers)
    )
    return dict(zip((None, *brokers), found, strict=True))


def _feed(services: Services, beats: Beats | None) -> ComponentOut:
    source = services.settings.feed.source
    if source is FeedSource.NONE:
        return _part(Status.UP, "no feed is wanted (ALPHAPANDA_FEED__SOURCE=none)", None)
    if beats is None:
        return _unknown()
    beat = beats[None]
    if beat is None:
        return _part(Status.DOWN, "no sign of life", "Start it: `python -m workers.run --only feed`.")
    if beat.state == "FAILED":
        return _part(Status.DOWN, f"its source broke: {beat.detail.get('error')}", "Correct its source and restart it.")
    return _strategies(f"{beat.state} ({source})", beat.detail)


def _strategies(running: str, detail: Mapping[str, Any]) -> ComponentOut:
    """A feed that runs, and those of its strategies that do not."""
    refused = detail.get("reload_refused")
    if refused:
        return _part(Status.DEGRADED, f"{running}; the changed deployments are refused: {refused}", "Correct the file.")
    suspended = detail.get("suspended") or {}
    if suspended:
        problems = detail.get("strategy_problems") or {}
        told = "; ".join(f"{name} ({problems.get(name, ', '.join(suspended[name]))})" for name in sorted(suspended))
        return _part(Status.DEGRADED, f"{running}; suspended: {told}", "Correct the strategy or its deployment.")
    return _part(Status.UP, running, None)


def _worker(broker: Broker, beats: Beats | None) -> ComponentOut:
    if beats is None:
        return _unknown()
    beat = beats[broker]
    if beat is None:
        return _part(Status.DOWN, "no sign of life", f"Start it: `python -m workers.run --broker {broker}`.")
    return _part(Status.UP, beat.state, None)


def _unknown() -> ComponentOut:
    return _part(Status.UNKNOWN, "its sign of life cannot be read without Redis", LiveUnavailable.default_next_action)


def _part(status: Status, detail: str, next_action: str | None) -> ComponentOut:
    return ComponentOut(status=status, required=False, detail=detail, next_action=next_action)


def _broker(
    name: Broker, states: dict[str, BrokerStateRecord] | None, beats: Beats | None, feed: ComponentOut
) -> BrokerHealthOut:
    record = (states or {}).get(name)
    session = SessionState(record.session) if record else SessionState.UNKNOWN
    switch = TradingSwitch(record.switch) if record else None
    worker = _worker(name, beats)
    todo = [part.next_action for part in (worker, feed) if part.next_action]
    if session.needs_login:
        todo.insert(0, login_action(name))
    if switch not in (None, TradingSwitch.ENABLED):
        todo.append(f"Trading is {switch}; POST /api/v1/brokers/{name}/resume when it may go on.")
    # A session nobody has used yet is no fault: the first call shows whether it lives.
    if states is None or worker.status is Status.UNKNOWN:
        status = Status.UNKNOWN
    else:
        status = Status.DEGRADED if todo else Status.UP
    return BrokerHealthOut(
        broker=name,
        status=status,
        session=session,
        switch=switch,
        worker=worker,
        feed=feed,
        next_action=" ".join(todo) or None,
    )
