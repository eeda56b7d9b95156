"""Portfolios, positions, fills and profit: per broker, never added over brokers."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query

from alphapanda.domain.calendar import trading_date
from alphapanda.ledger.query_fills import FillFilter, FillKey, list_fills
from alphapanda.ledger.query_positions import (
    PositionFilter,
    PositionKey,
    PositionRecord,
    Prices,
    list_portfolios,
    list_positions,
)
from api.dependencies import BrokersDep, ServicesDep, quotes_of
from api.documented import problems
from api.paging import PagingDep, decode_cursor, encode_cursor
from api.schemas.portfolios import (
    FillList,
    FillOut,
    PnlList,
    PnlOut,
    PortfolioList,
    PortfolioOut,
    PositionList,
    PositionOut,
)
from api.services import Services

router = APIRouter(tags=["portfolios"])

_PROBLEMS = problems("BROKER_UNKNOWN", "INPUT_INVALID", "LEDGER_UNAVAILABLE")

StrategyQuery = Annotated[str | None, Query(max_length=64, pattern=r"^[\x20-\x7e]+$", examples=["sma-cross"])]
SymbolQuery = Annotated[str | None, Query(max_length=64, pattern=r"^[\x20-\x7e]+$", examples=["INFY"])]


class Grouping(StrEnum):
    INSTRUMENT = "instrument"
    STRATEGY = "strategy"


@router.get("/portfolios", summary="Portfolios", responses=_PROBLEMS)
async def get_portfolios(services: ServicesDep, brokers: BrokersDep) -> PortfolioList:
    """One per broker: profit marked to market, exposure, the day so far, and what is on its way."""
    records = await list_portfolios(services.ledger, brokers, today=trading_date(datetime.now(UTC)))
    prices = await _prices(services, [position for record in records for position in record.positions])
    return PortfolioList(items=[PortfolioOut.of(record, prices) for record in records])


@router.get("/pnl", summary="Profit and loss", responses=_PROBLEMS)
async def get_pnl(services: ServicesDep, brokers: BrokersDep) -> PnlList:
    """One per broker, in whole and by strategy."""
    records = await list_portfolios(services.ledger, brokers, today=trading_date(datetime.now(UTC)))
    by_strategy = (await list_positions(services.ledger, PositionFilter(brokers, by_strategy=True))).items
    prices = await _prices(services, by_strategy)
    return PnlList(
        items=[
            PnlOut.of(record, tuple(each for each in by_strategy if each.broker == record.broker), prices)
            for record in records
        ]
    )


@router.get("/positions", summary="Positions", responses=_PROBLEMS)
async def get_positions(
    services: ServicesDep,
    brokers: BrokersDep,
    page: PagingDep,
    by: Annotated[Grouping, Query(description="strategy: a row per strategy instead of one over all.")] = (
        Grouping.INSTRUMENT
    ),
    open_only: Annotated[bool, Query(description="Leave out what is closed.")] = False,
    strategy_id: StrategyQuery = None,
    tradingsymbol: SymbolQuery = None,
) -> PositionList:
    """Net positions by broker, exchange, symbol and product, marked at the last quote."""
    found = await list_positions(
        services.ledger,
        PositionFilter(brokers, strategy_id, tradingsymbol, open_only, by_strategy=by is Grouping.STRATEGY),
        after=decode_cursor(page.cursor, PositionKey),
        limit=page.limit,
    )
    quotes = await quotes_of(services, {record.instrument for record in found.items})
    return PositionList(
        items=[PositionOut.of(record, quotes.get(record.instrument)) for record in found.items],
        next_cursor=encode_cursor(found.next_key),
    )


@router.get("/fills", summary="Fills", responses=_PROBLEMS)
async def get_fills(
    services: ServicesDep,
    brokers: BrokersDep,
    page: PagingDep,
    order_id: Annotated[str | None, Query(max_length=140, pattern=r"^[\x21-\x7e]+$")] = None,
    strategy_id: StrategyQuery = None,
    tradingsymbol: SymbolQuery = None,
) -> FillList:
    """Every execution booked, newest first; each once, by broker and trade id."""
    found = await list_fills(
        services.ledger,
        FillFilter(brokers, order_id, strategy_id, tradingsymbol),
        after=decode_cursor(page.cursor, FillKey),
        limit=page.limit,
    )
    items = [FillOut.model_validate(record) for record in found.items]
    return FillList(items=items, next_cursor=encode_cursor(found.next_key))


async def _prices(services: Services, positions: "list[PositionRecord] | tuple[PositionRecord, ...]") -> Prices:
    quotes = await quotes_of(services, {position.instrument for position in positions if position.quantity})
    return {instrument: tick.price for instrument, tick in quotes.items() if tick is not None}
