"""Positions, fills and profit, per broker. What is not known is null, never zero."""

from datetime import date
from decimal import Decimal
from typing import Any, Self

from pydantic import ConfigDict, Field

from alphapanda.ledger.query_positions import PortfolioRecord, PositionRecord, Prices, total
from alphapanda.live.quotes import Tick
from api.schemas.base import ListOut, Moment, Out, Rupees

_POSITION: dict[str, Any] = {
    "broker": "paper",
    "exchange": "NSE",
    "tradingsymbol": "INFY",
    "product": "CNC",
    "strategy_id": None,
    "quantity": 10,
    "average_price": "1450.00",
    "last_price": "1452.50",
    "last_price_at": "2026-01-05T04:15:02.000000Z",
    "realised": "0.00",
    "unrealised": "25.00",
    "charges": "18.37",
    "updated_at": "2026-01-05T04:15:00.480000Z",
}


class PositionOut(Out):
    model_config = ConfigDict(json_schema_extra={"examples": [_POSITION]})

    broker: str
    exchange: str
    tradingsymbol: str
    product: str
    strategy_id: str | None = Field(description="With by=strategy; null in a position over all strategies.")
    quantity: int = Field(description="Negative when short; 0 for one that is closed.")
    average_price: Rupees | None = Field(description="Net cost per share; null when closed.")
    last_price: Rupees | None = Field(description="Null: no quote is known.")
    last_price_at: Moment | None
    realised: Rupees = Field(description="Before charges.")
    unrealised: Rupees | None = Field(description="At last_price; null while that is unknown and the position open.")
    charges: Rupees
    updated_at: Moment

    @classmethod
    def of(cls, record: PositionRecord, tick: Tick | None) -> Self:
        last_price = None if tick is None else tick.price
        return cls(
            broker=record.broker,
            exchange=record.exchange,
            tradingsymbol=record.tradingsymbol,
            product=record.product,
            strategy_id=record.strategy_id or None,
            quantity=record.quantity,
            average_price=record.average_price,
            last_price=last_price,
            last_price_at=None if tick is None else tick.age_reference,
            realised=record.realised,
            unrealised=record.unrealised(last_price),
            charges=record.charges,
            updated_at=record.updated_at,
        )


class PositionList(ListOut[PositionOut]):
    pass


class FillOut(Out):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "order_id": "paper:manual-20260105-001",
                    "broker": "paper",
                    "trade_id": "260105000000007",
                    "broker_order_id": "260105000000001",
                    "strategy_id": "manual",
                    "exchange": "NSE",
                    "tradingsymbol": "INFY",
                    "product": "CNC",
                    "side": "BUY",
                    "quantity": 10,
                    "price": "1450.00",
                    "charges": "18.37",
                    "charge_items": {"brokerage": "0.00", "stt": "14.50"},
                    "traded_at": "2026-01-05T04:15:00.450000Z",
                    "booked_at": "2026-01-05T04:15:00.480000Z",
                }
            ]
        }
    )

    order_id: str | None = Field(description="Null: nobody here ordered it; its strategy is EXTERNAL.")
    broker: str
    trade_id: str
    broker_order_id: str
    strategy_id: str
    exchange: str
    tradingsymbol: str
    product: str
    side: str
    quantity: int
    price: Rupees
    charges: Rupees | None = Field(description="Null where no dated table of charges covers the trade.")
    charge_items: dict[str, str] | None
    traded_at: Moment
    booked_at: Moment


class FillList(ListOut[FillOut]):
    pass


class DayOut(Out):
    trading_date: date = Field(description="In IST.")
    realised: Rupees = Field(description="Of the day's fills, before charges.")
    charges: Rupees
    fills: int


class StrategyPnlOut(Out):
    strategy_id: str
    realised: Rupees
    unrealised: Rupees | None
    charges: Rupees
    net: Rupees | None

    @classmethod
    def of(cls, strategy_id: str, positions: list[PositionRecord], prices: Prices) -> Self:
        sums = total(positions, prices)
        return cls(
            strategy_id=strategy_id,
            realised=sums.realised,
            unrealised=sums.unrealised,
            charges=sums.charges,
            net=sums.net,
        )


_PNL: dict[str, Any] = {
    "broker": "paper",
    "realised": "120.00",
    "unrealised": "25.00",
    "charges": "18.37",
    "net": "126.63",
    "day": {"trading_date": "2026-01-05", "realised": "120.00", "charges": "18.37", "fills": 3},
    "instruments_without_price": [],
}


class PnlOut(Out):
    """One broker's profit. `unrealised` and `net` are null while an open position has no quote."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **_PNL,
                    "strategies": [
                        {
                            "strategy_id": "manual",
                            "realised": "120.00",
                            "unrealised": "25.00",
                            "charges": "18.37",
                            "net": "126.63",
                        }
                    ],
                }
            ]
        }
    )

    broker: str
    realised: Rupees
    unrealised: Rupees | None
    charges: Rupees
    net: Rupees | None = Field(description="realised + unrealised - charges.")
    day: DayOut
    instruments_without_price: list[str] = Field(description="Open, but no quote is known.")
    strategies: list[StrategyPnlOut]

    @classmethod
    def of(cls, record: PortfolioRecord, by_strategy: tuple[PositionRecord, ...], prices: Prices) -> Self:
        sums = total(record.positions, prices)
        names = sorted({position.strategy_id for position in by_strategy})
        return cls(
            broker=record.broker,
            realised=sums.realised,
            unrealised=sums.unrealised,
            charges=sums.charges,
            net=sums.net,
            day=DayOut.model_validate(record.day),
            instruments_without_price=unpriced(record, prices),
            strategies=[
                StrategyPnlOut.of(name, [position for position in by_strategy if position.strategy_id == name], prices)
                for name in names
            ],
        )


class PortfolioOut(Out):
    """One broker's book at a glance."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **_PNL,
                    "open_positions": 1,
                    "long_value": "14525.00",
                    "short_value": "0.00",
                    "live_orders": 1,
                    "reserved_value": "14500.50",
                }
            ]
        }
    )

    broker: str
    open_positions: int
    long_value: Rupees | None = Field(description="Of open positions at last prices; null while one is unknown.")
    short_value: Rupees | None
    live_orders: int = Field(description="Orders that have not ended.")
    reserved_value: Rupees = Field(description="Exposure promised to entries on their way.")
    realised: Rupees
    unrealised: Rupees | None
    charges: Rupees
    net: Rupees | None
    day: DayOut
    instruments_without_price: list[str]

    @classmethod
    def of(cls, record: PortfolioRecord, prices: Prices) -> Self:
        sums = total(record.positions, prices)
        long_value: Decimal | None = Decimal(0)
        short_value: Decimal | None = Decimal(0)
        for position in record.positions:
            price = prices.get(position.instrument)
            if position.quantity > 0:
                long_value = None if long_value is None or price is None else long_value + position.quantity * price
            elif position.quantity < 0:
                short_value = None if short_value is None or price is None else short_value - position.quantity * price
        return cls(
            broker=record.broker,
            open_positions=sum(1 for position in record.positions if position.quantity),
            long_value=long_value,
            short_value=short_value,
            live_orders=record.live_orders,
            reserved_value=record.reserved_value,
            realised=sums.realised,
            unrealised=sums.unrealised,
            charges=sums.charges,
            net=sums.net,
            day=DayOut.model_validate(record.day),
            instruments_without_price=unpriced(record, prices),
        )


def unpriced(record: PortfolioRecord, prices: Prices) -> list[str]:
    return sorted({p.instrument for p in record.positions if p.quantity != 0 and prices.get(p.instrument) is None})


class PnlList(ListOut[PnlOut]):
    pass


class PortfolioList(ListOut[PortfolioOut]):
    pass
