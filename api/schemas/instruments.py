"""Instruments as loaded, and the dumps they came from."""

from datetime import date
from typing import Any

from pydantic import ConfigDict, Field

from api.schemas.base import In, ListOut, Moment, Out, Rupees


class InstrumentOut(Out):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "exchange": "NSE",
                    "tradingsymbol": "INFY",
                    "instrument_token": 408065,
                    "instrument_type": "EQ",
                    "segment": "NSE_EQ_FNO",
                    "name": "INFOSYS",
                    "tick_size": "0.10",
                    "lot_size": 1,
                    "expiry": None,
                    "strike": None,
                    "lower_circuit": None,
                    "upper_circuit": None,
                    "as_of": "2026-11-20",
                    "source": "zerodha",
                    "load_id": 12,
                    "withdrawn_on": None,
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
    load_id: int | None = Field(description="The dump it came from; null where a source made it up.")
    withdrawn_on: date | None = Field(description="The first dump without it: it is not traded any more.")


class InstrumentList(ListOut[InstrumentOut]):
    pass


_LOAD: dict[str, Any] = {
    "id": 12,
    "as_of": "2026-11-20",
    "source": "zerodha",
    "origin": "https://api.kite.trade/instruments",
    "digest": "9f2c",
    "actor": "admin",
    "loaded_at": "2026-11-20T02:35:00Z",
    "outcome": "LOADED",
    "detail": "",
    "exchanges": ["BSE", "NFO", "NSE"],
    "accepted": 112040,
    "refused": 1,
    "skipped": 9310,
    "added": 412,
    "changed": 3,
    "withdrawn": 380,
    "report": {
        "refused": [
            {
                "rule": "tick_size",
                "rows": 1,
                "examples": [{"line": 812, "instrument": "NSE:BAD", "detail": "'0.0'; above 0"}],
            }
        ],
        "skipped": {"NCO": 9310},
    },
}


class RefusedRow(Out):
    line: int
    instrument: str
    detail: str


class RefusedRows(Out):
    rule: str = Field(description="The column, or what else the rule is about.")
    rows: int
    examples: list[RefusedRow] = Field(description="The first few.")


class LoadReport(Out):
    refused: list[RefusedRows]
    skipped: dict[str, int] = Field(description="Rows of exchanges that are not traded here.")


class LoadOut(Out):
    """A dump that was to be loaded, and what came of it."""

    model_config = ConfigDict(json_schema_extra={"examples": [_LOAD]})

    id: int
    as_of: date = Field(description="The day it describes.")
    source: str
    origin: str
    digest: str = Field(description="SHA-256 of its bytes.")
    actor: str
    loaded_at: Moment
    outcome: str = Field(description="LOADED, or REFUSED as a whole: then nothing was changed.")
    detail: str = Field(description="Why it was refused.")
    exchanges: list[str]
    accepted: int
    refused: int
    skipped: int
    added: int
    changed: int = Field(description="Known before, with another token, type, tick, lot, expiry or strike.")
    withdrawn: int = Field(description="No longer in it: not tradable any more.")
    report: LoadReport


class LoadIn(In):
    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra={"examples": [{"broker": "zerodha"}]})

    broker: str = Field(max_length=100, description="The broker to fetch from.")
    anyway: bool = Field(default=False, description="Also if it is older or much smaller than what is loaded.")


class ExchangeOut(Out):
    exchange: str
    instruments: int = Field(description="That can be traded.")
    withdrawn: int
    as_of: date | None = Field(description="Its newest dump; null where no dump described it.")


class DumpStatusOut(Out):
    """How the loaded instruments stand today."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "as_of": "2026-11-20",
                    "current": True,
                    "detail": "the dump of 2026-11-20",
                    "next_action": None,
                    "exchanges": [{"exchange": "NSE", "instruments": 8490, "withdrawn": 12, "as_of": "2026-11-20"}],
                    "loads": [_LOAD],
                }
            ]
        }
    )

    as_of: date | None = Field(description="The oldest of the exchanges' newest dumps.")
    current: bool = Field(description="Whether it is of the newest session.")
    detail: str
    next_action: str | None
    exchanges: list[ExchangeOut]
    loads: list[LoadOut] = Field(description="The newest first, also those that were refused.")
