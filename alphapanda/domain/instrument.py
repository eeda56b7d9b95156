"""A tradable instrument as the day's dump describes it."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from alphapanda.domain.money import Price
from alphapanda.domain.vocabulary import Exchange


class InstrumentType(StrEnum):
    EQUITY = "EQ"
    FUTURE = "FUT"
    CALL = "CE"
    PUT = "PE"
    INDEX = "INDEX"


@dataclass(frozen=True, slots=True)
class Instrument:
    """Grid and limits of one instrument on one date.

    `lot_size` counts shares or contracts; `tick_size` is in rupees; circuit limits are None where not known.
    `segment` names a session table of the calendar (NSE_EQ, NSE_EQ_FNO, NSE_FNO, ...). `dump_date` is the date of the
    broker's dump it comes from, None where a source made it up; `withdrawn_on` that of the first dump without it.
    """

    exchange: Exchange
    tradingsymbol: str
    instrument_token: int
    instrument_type: InstrumentType
    segment: str
    tick_size: Decimal
    lot_size: int
    name: str = ""
    expiry: date | None = None
    strike: Decimal | None = None
    lower_circuit: Price | None = None
    upper_circuit: Price | None = None
    dump_date: date | None = None
    withdrawn_on: date | None = None

    @property
    def key(self) -> str:
        return instrument_key(self.exchange, self.tradingsymbol)


def instrument_key(exchange: str, tradingsymbol: str) -> str:
    """`NSE:INFY`: the label of an instrument in logs, search attributes and cache keys."""
    return f"{exchange}:{tradingsymbol}"
