"""Instruments as loaded."""

from datetime import date

from pydantic import ConfigDict, Field

from api.schemas.base import ListOut, Out, Rupees


class InstrumentOut(Out):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "exchange": "NSE",
                    "tradingsymbol": "INFY",
                    "instrument_token": 408065,
                    "instrument_type": "EQ",
                    "segment": "NSE_EQ",
                    "name": "INFOSYS",
                    "tick_size": "0.05",
                    "lot_size": 1,
                    "expiry": None,
                    "strike": None,
                    "lower_circuit": "1305.00",
                    "upper_circuit": "1595.00",
                    "as_of": "2026-01-05",
                    "source": "simulator",
                }
            ]
        }
    )

    exchange: str
    tradingsymbol: str
    instrument_token: int
    instrument_type: str
    segment: str
    name: str
    tick_size: Rupees
    lot_size: int
    expiry: date | None
    strike: Rupees | None
    lower_circuit: Rupees | None = Field(description="Null where not known.")
    upper_circuit: Rupees | None
    as_of: date
    source: str


class InstrumentList(ListOut[InstrumentOut]):
    pass
