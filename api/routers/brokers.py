"""Brokers: session, trading switch, and rehearsals on paper."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Body

from activities.messages import BrokerStatus, SwitchCommand
from alphapanda.brokers.paper.rehearsal import arm_fault, expire_session
from alphapanda.domain.ids import Broker
from alphapanda.domain.vocabulary import TradingSwitch
from alphapanda.ledger.queries import ledger_errors
from alphapanda.ledger.query_brokers import broker_states
from api import logins
from api.dependencies import ActorDep, BrokerDep, BrokersDep, ServicesDep
from api.documented import problems
from api.errors import NotRehearsable
from api.logins import PAPER, login_page
from api.schemas.brokers import BrokerList, BrokerOut, LoginOut, RehearsedOut, RehearseIn, SessionIn, SwitchIn
from api.services import Services
from workflows.runtime import WorkflowsUnavailable

router = APIRouter(prefix="/brokers", tags=["brokers"])

_LOGIN_PROBLEMS = problems("BROKER_UNKNOWN", "BROKER_LOGIN_UNDER_WAY", "BROKER_LOGIN_REFUSED", "LEDGER_UNAVAILABLE")
_SWITCH_PROBLEMS = problems("BROKER_UNKNOWN", "INPUT_INVALID", "TEMPORAL_UNAVAILABLE")


@router.get("", summary="List brokers", responses=problems("BROKER_UNKNOWN", "INPUT_INVALID", "LEDGER_UNAVAILABLE"))
async def get_brokers(services: ServicesDep, brokers: BrokersDep) -> BrokerList:
    """The active ones with their session and switch; all asked at once, two seconds at most."""
    return BrokerList(items=await _brokers(services, brokers))


@router.get("/{broker}", summary="One broker", responses=problems("BROKER_UNKNOWN", "LEDGER_UNAVAILABLE"))
async def get_one_broker(services: ServicesDep, broker: BrokerDep) -> BrokerOut:
    """Session, switch, and how many orders wait for a login."""
    return (await _brokers(services, (broker,)))[0]


@router.get("/{broker}/login", summary="Where to log in", responses=problems("BROKER_UNKNOWN", "LEDGER_UNAVAILABLE"))
async def get_login(services: ServicesDep, broker: BrokerDep) -> LoginOut:
    """The broker's login page, with a fresh state nonce for its `callback`; it hands out the request token that
    `session` takes."""
    return await login_page(services, broker)


@router.post("/{broker}/session", summary="Log in", responses=_LOGIN_PROBLEMS)
async def log_in(services: ServicesDep, broker: BrokerDep, actor: ActorDep, body: SessionIn) -> BrokerOut:
    """Exchanges the request token for a session and wakes the orders that wait for one. One login at a time: whoever
    comes second with the same token is refused."""
    status = await logins.log_in(services, broker, body.request_token.get_secret_value(), actor=actor)
    return await _broker(services, broker, status)


@router.post("/{broker}/halt", summary="Halt trading", responses=_SWITCH_PROBLEMS)
async def halt(services: ServicesDep, broker: BrokerDep, actor: ActorDep, body: SwitchIn | None = None) -> BrokerOut:
    """Stops every entry that is not on the wire yet; exits stay possible."""
    return await _switch(services, broker, TradingSwitch.HALTED, actor, body)


@router.post("/{broker}/exits-only", summary="Allow exits only", responses=_SWITCH_PROBLEMS)
async def exits_only(
    services: ServicesDep, broker: BrokerDep, actor: ActorDep, body: SwitchIn | None = None
) -> BrokerOut:
    """Entries are denied; what reduces a position goes on."""
    return await _switch(services, broker, TradingSwitch.EXITS_ONLY, actor, body)


@router.post("/{broker}/resume", summary="Resume trading", responses=_SWITCH_PROBLEMS)
async def resume(services: ServicesDep, broker: BrokerDep, actor: ActorDep, body: SwitchIn | None = None) -> BrokerOut:
    """Entries are possible again."""
    return await _switch(services, broker, TradingSwitch.ENABLED, actor, body)


@router.post(
    "/{broker}/rehearse",
    summary="Rehearse an outage on paper",
    responses=problems("BROKER_UNKNOWN", "REHEARSAL_PAPER_ONLY", "INPUT_INVALID", "LEDGER_UNAVAILABLE"),
)
async def rehearse(services: ServicesDep, broker: BrokerDep, body: Annotated[RehearseIn, Body()]) -> RehearsedOut:
    """Makes the paper exchange fail on purpose: a fault for the next calls, or a dead session."""
    if broker != PAPER:
        raise NotRehearsable(f"{broker!r} is a real broker")
    with ledger_errors():
        if body.fault is None:
            await expire_session(services.ledger, broker)
            return RehearsedOut(broker=broker, rehearsed="the session is dead until somebody logs in")
        await arm_fault(services.ledger, broker, body.fault, body.count)
    return RehearsedOut(broker=broker, rehearsed=f"{body.fault} befalls the next {body.count} call(s)")


async def _switch(
    services: Services, broker: Broker, switch: TradingSwitch, actor: str, body: SwitchIn | None
) -> BrokerOut:
    desk = services.desk
    with ledger_errors():
        status = await desk.set_switch(broker, switch, SwitchCommand(actor=actor, reason=body.reason if body else ""))
    return await _broker(services, broker, status)


async def _broker(services: Services, broker: Broker, status: BrokerStatus) -> BrokerOut:
    records = await broker_states(services.ledger, (broker,))
    return BrokerOut.of(broker, records.get(broker), status, calendar=services.calendar)


async def _brokers(services: Services, brokers: tuple[Broker, ...]) -> list[BrokerOut]:
    records = await broker_states(services.ledger, brokers)
    try:
        desk = services.desk
    except WorkflowsUnavailable:
        return [BrokerOut.of(broker, records.get(broker), None, calendar=services.calendar) for broker in brokers]
    statuses = await asyncio.gather(*(desk.broker_status(broker) for broker in brokers))
    return [
        BrokerOut.of(broker, records.get(broker), status, calendar=services.calendar)
        for broker, status in zip(brokers, statuses, strict=True)
    ]
