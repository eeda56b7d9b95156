"""What routes ask for: the services, the caller, and brokers that are active here."""

from typing import Annotated

from fastapi import Depends, Path, Query, Request

from alphapanda.domain.errors import InvalidValueError
from alphapanda.domain.ids import Broker, OrderId, parse_order_id
from alphapanda.ledger.query_orders import OrderDetail, get_order
from alphapanda.live.quotes import LiveUnavailable, Tick, last_quotes
from alphapanda.settings import Settings
from api.auth import actor_of
from api.correlation import correlation_id_of
from api.errors import BrokerUnknown, OrderNotFound
from api.services import Services


def services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


ServicesDep = Annotated[Services, Depends(services)]
ActorDep = Annotated[str, Depends(actor_of)]


def correlation_id(request: Request) -> str:
    return correlation_id_of(request.scope)


CorrelationDep = Annotated[str, Depends(correlation_id)]


def active_broker(settings: Settings, name: str) -> Broker:
    """Raises BrokerUnknown for one that is not active: to callers it does not exist."""
    if name not in settings.active_brokers:
        raise BrokerUnknown(f"broker: {name[:40]!r} is not active here")
    return Broker(name)


def brokers_wanted(
    request: Request,
    broker: Annotated[
        str | None, Query(max_length=100, description="Only this broker; absent = all active ones.", examples=["paper"])
    ] = None,
) -> tuple[Broker, ...]:
    settings = services(request).settings
    return settings.active_brokers if broker is None else (active_broker(settings, broker),)


def broker_named(
    request: Request, broker: Annotated[str, Path(description="An active broker.", examples=["paper"])]
) -> Broker:
    return active_broker(services(request).settings, broker)


BrokersDep = Annotated[tuple[Broker, ...], Depends(brokers_wanted)]
BrokerDep = Annotated[Broker, Depends(broker_named)]


def order_named(
    request: Request,
    order_id: Annotated[str, Path(description="`broker:signal_id`.", examples=["paper:manual-20260105-001"])],
) -> OrderId:
    """A well-formed id at an active broker; anything else names no order."""
    try:
        broker, _ = parse_order_id(order_id)
    except InvalidValueError as error:
        raise OrderNotFound(f"no order {order_id[:140]!r} is known") from error
    active_broker(services(request).settings, broker)
    return OrderId(order_id)


OrderIdDep = Annotated[OrderId, Depends(order_named)]


async def known_order(order_id: OrderIdDep, services: ServicesDep) -> OrderDetail:
    """The order as the ledger has it. Raises OrderNotFound."""
    record = await get_order(services.ledger, order_id)
    if record is None:
        raise OrderNotFound(f"no order {order_id!r} is known")
    return record


OrderDep = Annotated[OrderDetail, Depends(known_order)]


async def quotes_of(services: Services, instruments: set[str]) -> dict[str, Tick | None]:
    """Last quotes; without Redis none is known, which is no reason to withhold the rest of an answer."""
    if services.redis is None:
        return {}
    try:
        return await last_quotes(services.redis, sorted(instruments))
    except LiveUnavailable:
        return {}
