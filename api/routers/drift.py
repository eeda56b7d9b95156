"""Drift: where a broker and the ledger differ, and when they were compared last."""

from typing import Annotated

from fastapi import APIRouter, Query

from alphapanda.domain.ids import Broker
from alphapanda.ledger.drift import DriftKey, list_drift
from alphapanda.live.quotes import LiveUnavailable
from alphapanda.live.reconciled import Reconciled, read_reconciled
from api.dependencies import BrokerDep, ServicesDep
from api.documented import problems
from api.paging import PagingDep, decode_cursor, encode_cursor
from api.schemas.drift import DriftList, DriftOut, ReconciledOut
from api.services import Services

router = APIRouter(prefix="/brokers", tags=["brokers"])


@router.get(
    "/{broker}/drift",
    summary="Drift of a broker",
    responses=problems("BROKER_UNKNOWN", "INPUT_INVALID", "LEDGER_UNAVAILABLE"),
)
async def get_drift(
    services: ServicesDep,
    broker: BrokerDep,
    page: PagingDep,
    open_only: Annotated[bool, Query(alias="open", description="Only what stands; false: what is gone, too.")] = True,
) -> DriftList:
    """Newest first: what differs between the ledger and the broker's books and cannot be repaired with proof."""
    found = await list_drift(
        services.ledger,
        broker,
        open_only=open_only,
        after=decode_cursor(page.cursor, DriftKey),
        limit=page.limit,
    )
    last = await _last_run(services, broker)
    return DriftList(
        items=[DriftOut.model_validate(record) for record in found.items],
        next_cursor=encode_cursor(found.next_key),
        reconciled=None if last is None else ReconciledOut.model_validate(last),
    )


async def _last_run(services: Services, broker: Broker) -> Reconciled | None:
    if services.redis is None:
        return None
    try:
        return await read_reconciled(services.redis, broker)
    except LiveUnavailable:
        return None
