"""The instruments a source brings with it, for symbols that no instrument dump has described yet."""

import hashlib
from collections.abc import Iterable
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncEngine

from alphapanda.domain.calendar import Segment
from alphapanda.domain.instrument import Instrument, InstrumentType, instrument_key
from alphapanda.domain.vocabulary import Exchange
from alphapanda.feed.replay_files import ReplayFile, inspect_files
from alphapanda.ledger.instruments import instruments_by_symbol, instruments_by_token
from alphapanda.settings import FeedSettings, FeedSource

_MADE_UP_TOKENS = 1 << 40
"""Kite's tokens have 32 bits, so a token made here is never one of theirs."""


def made_up_token(key: str) -> int:
    """A token for an instrument that has none: the same on every machine and run."""
    return _MADE_UP_TOKENS | int.from_bytes(hashlib.sha256(key.encode()).digest()[:5], "big")


def cash_equity(tradingsymbol: str, *, tick_size: Decimal = Decimal("0.05"), name: str = "") -> Instrument:
    """An NSE cash share as a source describes it: lot 1, no circuit limits known."""
    return Instrument(
        exchange=Exchange.NSE,
        tradingsymbol=tradingsymbol,
        instrument_token=made_up_token(instrument_key(Exchange.NSE, tradingsymbol)),
        instrument_type=InstrumentType.EQUITY,
        segment=Segment.NSE_EQ,
        tick_size=tick_size,
        lot_size=1,
        name=name,
    )


def recorded(file: ReplayFile) -> Instrument:
    """The instrument of a recorded file, as far as the file tells.

    Bars are NSE cash shares. Of ticks, the token's lowest byte tells the segment (9 an index, 2 an NSE derivative,
    else a share) and the label whether a derivative is a call, a put or a future. The lot size is not recorded: it
    is 1 until a dump says otherwise.
    """
    if file.token is None:
        return cash_equity(file.label)
    kind, segment, exchange = InstrumentType.EQUITY, Segment.NSE_EQ, Exchange.NSE
    match file.token & 0xFF:
        case 9:
            kind = InstrumentType.INDEX
        case 2:
            kind, segment, exchange = _derivative_type(file.label), Segment.NSE_FNO, Exchange.NFO
    return Instrument(
        exchange=exchange,
        tradingsymbol=file.label,
        instrument_token=file.token,
        instrument_type=kind,
        segment=segment,
        tick_size=Decimal("0.05"),
        lot_size=1,
    )


def _derivative_type(label: str) -> InstrumentType:
    upper = label.upper()
    if upper.startswith("CALL") or upper.endswith("CE"):
        return InstrumentType.CALL
    if upper.startswith("PUT") or upper.endswith("PE"):
        return InstrumentType.PUT
    return InstrumentType.FUTURE


async def known_instruments(engine: AsyncEngine, feed: FeedSettings) -> tuple[Instrument, ...]:
    """What the ledger knows of the instruments this feed will quote; they win over what the source would make up.

    Raises ReplayFileError where a file to replay cannot be read.
    """
    if feed.source is FeedSource.REPLAY:
        files = inspect_files(feed.files)
        symbols = [file.label for file in files if file.token is None]
        tokens = [file.token for file in files if file.token is not None]
    elif feed.source is FeedSource.SIMULATOR:
        symbols, tokens = list(feed.symbols), []
    else:
        return ()
    by_symbol = await instruments_by_symbol(engine, Exchange.NSE, symbols)
    by_token = await instruments_by_token(engine, tokens)
    return (*by_symbol, *by_token)


def by_key(instruments: Iterable[Instrument]) -> dict[str, Instrument]:
    return {instrument.key: instrument for instrument in instruments}
