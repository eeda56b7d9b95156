"""Dumps as tests need them: Kite's columns, rows that are sound unless changed by keyword."""

from typing import Any

HEADER = (
    "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,instrument_type,"
    "segment,exchange"
)
SHARE = {
    "instrument_token": 408065, "exchange_token": 1594, "tradingsymbol": "INFY", "name": "INFOSYS", "last_price": "0.0",
    "expiry": "", "strike": "0.0", "tick_size": "0.1", "lot_size": 1, "instrument_type": "EQ", "segment": "NSE",
    "exchange": "NSE",
}  # fmt: skip
FUTURE = SHARE | {
    "instrument_token": 12345602, "tradingsymbol": "INFY26NOVFUT", "name": "INFY", "expiry": "2026-11-24",
    "tick_size": "0.1", "lot_size": 400, "instrument_type": "FUT", "segment": "NFO-FUT", "exchange": "NFO",
}  # fmt: skip
CALL = FUTURE | {
    "instrument_token": 12345858, "tradingsymbol": "INFY26NOV1500CE", "strike": "1500.0", "tick_size": "0.05",
    "instrument_type": "CE", "segment": "NFO-OPT",
}  # fmt: skip
INDEX = SHARE | {
    "instrument_token": 256265, "tradingsymbol": "NIFTY 50", "name": "NIFTY 50", "tick_size": "0.0", "lot_size": 0,
    "segment": "INDICES",
}  # fmt: skip


def share(symbol: str, token: int, **changed: Any) -> dict[str, Any]:
    return SHARE | {"tradingsymbol": symbol, "name": f"{symbol} LTD", "instrument_token": token} | changed


def shares(count: int, *, prefix: str = "S") -> list[dict[str, Any]]:
    return [share(f"{prefix}{number:04d}", 1000 + number) for number in range(count)]


def csv_of(*rows: dict[str, Any]) -> bytes:
    """The file. Cells are written as they are: who wants a quote or a comma in one quotes it."""
    lines = [",".join(str(row[name]) for name in HEADER.split(",")) for row in rows]
    return "\n".join([HEADER, *lines, ""]).encode()
