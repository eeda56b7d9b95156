"""Orders: where each is, why, what happens next, and what one can ask of it."""

from typing import Annotated

from fastapi import APIRouter, Query

from activities.messages import ApproveCommand, CancelCommand, DenyCommand, ModifyCommand, ResolveCommand
from alphapanda.domain.ids import OrderId
from alphapanda.domain.states import TERMINAL, OrderState
from alphapanda.ledger.queries import ledger_errors
from alphapanda.ledger.query_orders import EventKey, OrderFilter, OrderKey, list_order_events, list_orders
from api.dependencies import ActorDep, BrokersDep, OrderDep, ServicesDep
from api.documented import problems
from api.paging import PagingDep, decode_cursor, encode_cursor
from api.schemas.orders import (
    DenyIn,
    ModifyIn,
    OrderDetailOut,
    OrderEventList,
    OrderEventOut,
    OrderList,
    OrderOut,
    OrderStatusOut,
    ResolveIn,
    RetriedOut,
)
from workflows.next_steps import next_step
from workflows.runtime import WorkflowsUnavailable

router = APIRouter(prefix="/orders", tags=["orders"])

_COMMAND_PROBLEMS = problems("ORDER_UNKNOWN", "ORDER_NOT_IN_STATE", "INPUT_INVALID", "LEDGER_UNAVAILABLE")


@router.get("", summary="List orders", responses=problems("BROKER_UNKNOWN", "INPUT_INVALID", "LEDGER_UNAVAILABLE"))
async def get_orders(
    services: ServicesDep,
    brokers: BrokersDep,
    page: PagingDep,
    state: Annotated[list[OrderState] | None, Query(description="Repeat it for several.", examples=[["OPEN"]])] = None,
    strategy_id: Annotated[str | None, Query(max_length=64, pattern=r"^[\x20-\x7e]+$", examples=["sma-cross"])] = None,
    tradingsymbol: Annotated[str | None, Query(max_length=64, pattern=r"^[\x20-\x7e]+$", examples=["INFY"])] = None,
) -> OrderList:
    """Newest first, from the ledger. A page keeps its place while new orders arrive."""
    found = await list_orders(
        services.ledger,
        OrderFilter(brokers, state or (), strategy_id, tradingsymbol),
        after=decode_cursor(page.cursor, OrderKey),
        limit=page.limit,
    )
    items = [OrderOut.model_validate(record) for record in found.items]
    return OrderList(items=items, next_cursor=encode_cursor(found.next_key))


@router.get("/{order_id}", summary="One order", responses=problems("ORDER_UNKNOWN", "LEDGER_UNAVAILABLE"))
async def get_one_order(services: ServicesDep, order: OrderDep) -> OrderDetailOut:
    """From the ledger; while the order lives, its workflow is asked too (`live`), two seconds at most."""
    status = None
    if OrderState(order.state) not in TERMINAL:
        try:
            status = await services.desk.status(OrderId(order.order_id))
        except WorkflowsUnavailable:
            status = None
    return OrderDetailOut.of(order, status, status.next_step if status else next_step(OrderState(order.state)))


@router.get(
    "/{order_id}/events",
    summary="An order's story",
    responses=problems("ORDER_UNKNOWN", "INPUT_INVALID", "LEDGER_UNAVAILABLE"),
)
async def get_order_events(services: ServicesDep, order: OrderDep, page: PagingDep) -> OrderEventList:
    """Every state it entered, oldest first, with reason, actor and time."""
    found = await list_order_events(
        services.ledger, OrderId(order.order_id), after=decode_cursor(page.cursor, EventKey), limit=page.limit
    )
    items = [OrderEventOut.model_validate(record) for record in found.items]
    return OrderEventList(items=items, next_cursor=encode_cursor(found.next_key))


@router.post("/{order_id}/cancel", summary="Ask for a cancel", responses=_COMMAND_PROBLEMS)
async def cancel_order(services: ServicesDep, order: OrderDep, actor: ActorDep) -> OrderStatusOut:
    """Before it was sent, it ends at once. At the broker a cancel is a request: the state follows the book."""
    return OrderStatusOut.of(await services.desk.cancel(OrderId(order.order_id), CancelCommand(actor=actor)))


@router.post("/{order_id}/modify", summary="Change a working order", responses=_COMMAND_PROBLEMS)
async def modify_order(services: ServicesDep, order: OrderDep, actor: ActorDep, body: ModifyIn) -> OrderStatusOut:
    """Checked against instrument and limits like a new order, then sent to the broker."""
    command = ModifyCommand(actor=actor, change=body.to_change())
    return OrderStatusOut.of(await services.desk.modify(OrderId(order.order_id), command))


@router.post("/{order_id}/approve", summary="Approve an order", responses=_COMMAND_PROBLEMS)
async def approve_order(services: ServicesDep, order: OrderDep, actor: ActorDep) -> OrderStatusOut:
    """Only while it is AWAITING_APPROVAL."""
    return OrderStatusOut.of(await services.desk.approve(OrderId(order.order_id), ApproveCommand(actor=actor)))


@router.post("/{order_id}/deny", summary="Deny an order", responses=_COMMAND_PROBLEMS)
async def deny_order(
    services: ServicesDep, order: OrderDep, actor: ActorDep, body: DenyIn | None = None
) -> OrderStatusOut:
    """Only while it is AWAITING_APPROVAL."""
    command = DenyCommand(actor=actor, note=body.note if body else "")
    return OrderStatusOut.of(await services.desk.deny(OrderId(order.order_id), command))


@router.post("/{order_id}/resolve", summary="Decide a parked order", responses=_COMMAND_PROBLEMS)
async def resolve_order(services: ServicesDep, order: OrderDep, actor: ActorDep, body: ResolveIn) -> OrderStatusOut:
    """Only while it is PARKED: its outcome could not be read from the broker's book in time."""
    command = ResolveCommand(actor=actor, state=body.state, broker_order_id=body.broker_order_id, note=body.note)
    return OrderStatusOut.of(await services.desk.resolve(OrderId(order.order_id), command))


@router.post("/{order_id}/retry", summary="Start a failed order again", responses=_COMMAND_PROBLEMS)
async def retry_order(services: ServicesDep, order: OrderDep, actor: ActorDep) -> RetriedOut:
    """Only while it is FAILED, which means that nothing was sent."""
    with ledger_errors():
        return RetriedOut.model_validate(await services.desk.retry(OrderId(order.order_id), actor=actor))
