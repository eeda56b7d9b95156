"""Instruments: what can be named in a signal, and the dumps it comes from."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Query

from alphapanda.domain.instrument import InstrumentType
from alphapanda.domain.vocabulary import Exchange
from alphapanda.ledger.instrument_loads import load_history
from alphapanda.ledger.query_instruments import (
    InstrumentKey,
    InstrumentSearch,
    instruments_by_exchange,
    search_instruments,
)
from alphapanda.live.quotes import LiveUnavailable
from api.dependencies import ActorDep, ServicesDep, active_broker
from api.documented import problems
from api.dumps import dump_status
from api.errors import NoDump
from api.paging import PagingDep, decode_cursor, encode_cursor
from api.schemas.instruments import DumpStatusOut, InstrumentList, InstrumentOut, LoadIn, LoadOut

router = APIRouter(prefix="/instruments", tags=["instruments"])

_LOADS_SHOWN = 20


@router.get("", summary="Find instruments", responses=problems("INPUT_INVALID", "LEDGER_UNAVAILABLE"))
async def get_instruments(
    services: ServicesDep,
    page: PagingDep,
    query: Annotated[
        str,
        Query(max_length=64, pattern=r"^[^\x00-\x1f]*$", description="Parts of symbol or name.", examples=["infy"]),
    ] = "",
    exchange: Annotated[Exchange | None, Query(examples=["NSE"])] = None,
    instrument_type: Annotated[InstrumentType | None, Query(alias="type", examples=["CE"])] = None,
    expiry: Annotated[date | None, Query(examples=["2026-11-24"])] = None,
    strike: Annotated[Decimal | None, Query(gt=0, max_digits=14, decimal_places=4, examples=["1500"])] = None,
    withdrawn: Annotated[bool, Query(description="Also what has left its dump.")] = False,
) -> InstrumentList:
    """Those loaded whose symbol or name contains every word of `query`: the symbol itself first, then those that begin
    with it, then the others."""
    found = await search_instruments(
        services.ledger,
        InstrumentSearch(query, exchange, instrument_type, expiry, strike, withdrawn),
        after=decode_cursor(page.cursor, InstrumentKey),
        limit=page.limit,
    )
    items = [InstrumentOut.model_validate(record) for record in found.items]
    return InstrumentList(items=items, next_cursor=encode_cursor(found.next_key))


@router.get("/status", summary="How fresh the instruments are", responses=problems("LEDGER_UNAVAILABLE"))
async def get_instrument_status(services: ServicesDep) -> DumpStatusOut:
    """The date of the newest dump, what it holds by exchange, and the latest loads."""
    exchanges = await instruments_by_exchange(services.ledger)
    loads = await load_history(services.ledger, limit=_LOADS_SHOWN)
    status = await dump_status(services, now=datetime.now(UTC))
    stands = status.freshness
    return DumpStatusOut.model_validate(
        {
            "as_of": status.as_of, "current": stands.current, "detail": stands.detail,
            "next_action": stands.next_action, "exchanges": exchanges, "loads": loads,
        }
    )  # fmt: skip


@router.post(
    "/load",
    summary="Load a broker's dump",
    responses=problems("BROKER_UNKNOWN", "INSTRUMENT_DUMP_REFUSED", "INPUT_INVALID", "LEDGER_UNAVAILABLE"),
)
async def load_instruments(services: ServicesDep, actor: ActorDep, body: LoadIn) -> LoadOut:
    """Fetches the day's dump with the broker's session and puts it in the place of what is loaded, whole or not at all.
    It answers when it is done: some seconds. Rows that are wrong are refused one by one and told of in `report`."""
    broker = active_broker(services.settings, body.broker)
    if broker != "zerodha":
        raise NoDump(f"{broker!r} has no instrument dump")
    if services.redis is None:
        raise LiveUnavailable("it is not known yet where Redis is")
    from alphapanda.instruments.from_zerodha import load_from_zerodha  # noqa: PLC0415 - paper needs none of it

    record = await load_from_zerodha(
        services.settings, services.ledger, services.redis, actor=actor, now=datetime.now(UTC), anyway=body.anyway
    )
    return LoadOut.model_validate(record)
