"""Signals: handed in once, shown with the state of their orders."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response

from alphapanda.domain.errors import InvalidValueError
from alphapanda.domain.ids import signal_id as checked_signal_id
from alphapanda.domain.signal import Signal
from alphapanda.ledger.engine import LedgerUnavailable
from alphapanda.ledger.queries import ledger_errors
from alphapanda.ledger.query_signals import SignalKey, SignalWithOrders, get_signal, list_signals
from api.dependencies import BrokersDep, CorrelationDep, ServicesDep, active_broker
from api.documented import problems
from api.errors import SignalUnknown
from api.paging import PagingDep, decode_cursor, encode_cursor
from api.schemas.signals import EXAMPLE_ACCEPTED, AcceptedOut, SignalIn, SignalList, SignalOut
from api.services import Services
from workflows.desk import Accepted
from workflows.runtime import WorkflowsUnavailable

router = APIRouter(prefix="/signals", tags=["signals"])


@router.post(
    "",
    status_code=HTTPStatus.ACCEPTED,
    summary="Hand in a signal",
    responses={
        200: {
            "description": "The same signal came before; its orders, as they stand.",
            "model": AcceptedOut,
            "content": {"application/json": {"example": {**EXAMPLE_ACCEPTED, "created": False}}},
        },
        **problems("BROKER_UNKNOWN", "SIGNAL_ID_CONFLICT", "INPUT_INVALID", "LEDGER_UNAVAILABLE"),
    },
)
async def hand_in_signal(
    body: SignalIn,
    response: Response,
    services: ServicesDep,
    correlation_id: CorrelationDep,
    idempotency_key: Annotated[
        str | None,
        Header(
            alias="Idempotency-Key",
            pattern=r"^[\x21-\x7e]{1,255}$",
            description="The same key never trades twice. Beside a signal_id it must be the same as that.",
            examples=["5b1d9f0e-6a0c-4d0e-9a55-000000000001"],
        ),
    ] = None,
) -> AcceptedOut:
    """Records the signal and starts one durable order workflow per broker: 202.

    Sent again with the same `signal_id` (or `Idempotency-Key`) it makes nothing new: 200 with the same orders. The
    same id with different content is refused: 409 `SIGNAL_ID_CONFLICT`.
    """
    for broker in body.brokers:
        active_broker(services.settings, broker)
    signal = body.to_signal(now=datetime.now(UTC), idempotency_key=idempotency_key)
    accepted = await _accept(services, signal, correlation_id)
    if not accepted.created:
        response.status_code = HTTPStatus.OK
    return AcceptedOut.model_validate(accepted)


async def _accept(services: Services, signal: Signal, correlation_id: str) -> Accepted:
    desk, ledger = services.desk, services.ledger
    try:
        with ledger_errors():
            return await desk.accept(signal, correlation_id=correlation_id)
    except LedgerUnavailable as error:
        # The answer to a commit may be what was lost: only the same id makes sending it again safe.
        raise LedgerUnavailable(
            f"signal {signal.signal_id!r} may not be recorded: {error.message}",
            next_action=f"Send it again with signal_id {signal.signal_id!r}: it cannot trade twice.",
        ) from error
    except WorkflowsUnavailable as error:
        if await get_signal(ledger, signal.signal_id, signal.brokers) is None:
            raise
        # Recorded, so it will trade; a caller who sends it again under a fresh id would trade twice.
        raise WorkflowsUnavailable(
            f"signal {signal.signal_id!r} is recorded but could not be started: {error.message}",
            next_action=f"Do not send it under another id: it starts by itself once Temporal is back. "
            f"Follow it at /api/v1/signals/{signal.signal_id}.",
        ) from error


@router.get("", summary="List signals", responses=problems("BROKER_UNKNOWN", "INPUT_INVALID", "LEDGER_UNAVAILABLE"))
async def get_signals(
    services: ServicesDep,
    brokers: BrokersDep,
    page: PagingDep,
    strategy_id: Annotated[str | None, Query(max_length=64, pattern=r"^[\x20-\x7e]+$", examples=["sma-cross"])] = None,
) -> SignalList:
    """Newest first, each with its orders."""
    found = await list_signals(
        services.ledger,
        brokers,
        strategy_id=strategy_id,
        after=decode_cursor(page.cursor, SignalKey),
        limit=page.limit,
    )
    return SignalList(items=[_out(item) for item in found.items], next_cursor=encode_cursor(found.next_key))


@router.get("/{signal_id}", summary="One signal", responses=problems("SIGNAL_UNKNOWN", "LEDGER_UNAVAILABLE"))
async def get_one_signal(
    services: ServicesDep,
    signal_id: Annotated[str, Path(examples=["manual-20260105-001"])],
) -> SignalOut:
    """The signal, with the state of its order on each active broker."""
    try:
        known = await get_signal(services.ledger, checked_signal_id(signal_id), services.settings.active_brokers)
    except InvalidValueError:
        known = None
    if known is None:
        raise SignalUnknown(f"no signal {signal_id[:100]!r} is known")
    return _out(known)


def _out(found: SignalWithOrders) -> SignalOut:
    signal, orders = found
    fields = {name: getattr(signal, name) for name in SignalOut.model_fields if name != "orders"}
    return SignalOut.model_validate({**fields, "orders": orders})
