"""Instruments: what can be named in a signal."""

from typing import Annotated

from fastapi import APIRouter, Query

from alphapanda.domain.vocabulary import Exchange
from alphapanda.ledger.query_instruments import InstrumentKey, search_instruments
from api.dependencies import ServicesDep
from api.documented import problems
from api.paging import PagingDep, decode_cursor, encode_cursor
from api.schemas.instruments import InstrumentList, InstrumentOut

router = APIRouter(prefix="/instruments", tags=["instruments"])


@router.get("", summary="Find instruments", responses=problems("INPUT_INVALID", "LEDGER_UNAVAILABLE"))
async def get_instruments(
    services: ServicesDep,
    page: PagingDep,
    query: Annotated[
        str, Query(max_length=64, pattern=r"^[^\x00-\x1f]*$", description="Part of symbol or name.", examples=["infy"])
    ] = "",
    exchange: Annotated[Exchange | None, Query(examples=["NSE"])] = None,
) -> InstrumentList:
    """Those loaded whose symbol or name contains `query`, ordered by symbol."""
    found = await search_instruments(
        services.ledger,
        query,
        exchange=exchange,
        after=decode_cursor(page.cursor, InstrumentKey),
        limit=page.limit,
    )
    items = [InstrumentOut.model_validate(record) for record in found.items]
    return InstrumentList(items=items, next_cursor=encode_cursor(found.next_key))
