"""What the simulator knows of each symbol: roughly how NSE's large shares traded in late 2025."""

import hashlib
import math
from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Profile:
    """`session_volatility` is the standard deviation of one session's log return; `session_volume` counts shares."""

    name: str
    base_price: float
    session_volatility: float
    session_volume: int
    spread_bps: float


# fmt: off
_PROFILES = {
    "AXISBANK":   Profile("AXIS BANK",                1180, 0.0157,  9_800_000, 1.0),
    "BHARTIARTL": Profile("BHARTI AIRTEL",            1900, 0.0169,  6_900_000, 1.0),
    "HDFCBANK":   Profile("HDFC BANK",                 960, 0.0120, 20_700_000, 0.8),
    "HINDUNILVR": Profile("HINDUSTAN UNILEVER",       2500, 0.0145,  2_100_000, 1.5),
    "ICICIBANK":  Profile("ICICI BANK",               1370, 0.0147, 15_600_000, 0.9),
    "INFY":       Profile("INFOSYS",                  1480, 0.0131,  7_300_000, 1.0),
    "ITC":        Profile("ITC",                       405, 0.0120, 12_000_000, 1.5),
    "KOTAKBANK":  Profile("KOTAK MAHINDRA BANK",      2100, 0.0142,  5_400_000, 1.2),
    "LT":         Profile("LARSEN & TOUBRO",          3900, 0.0140,  2_000_000, 1.2),
    "MARUTI":     Profile("MARUTI SUZUKI INDIA",     16000, 0.0152,    610_000, 1.5),
    "RELIANCE":   Profile("RELIANCE INDUSTRIES",      1400, 0.0130, 11_000_000, 0.8),
    "SBIN":       Profile("STATE BANK OF INDIA",       870, 0.0140, 10_000_000, 0.8),
    "TCS":        Profile("TATA CONSULTANCY SERV LT", 3050, 0.0125,  2_500_000, 1.2),
}
# fmt: on

# NSE's tick size by price for cash shares: the band's upper end (exclusive) and its tick, in rupees.
_TICK_SIZES = (
    (250, Decimal("0.01")),
    (1000, Decimal("0.05")),
    (5000, Decimal("0.10")),
    (10_000, Decimal("0.50")),
    (20_000, Decimal(1)),
)
_HIGHEST_TICK_SIZE = Decimal(5)


def known_symbols() -> tuple[str, ...]:
    """The symbols whose profile was looked up, not made up."""
    return tuple(_PROFILES)


def profile_of(symbol: str) -> Profile:
    """The symbol's profile; for one we do not know, a plausible one that is the same on every machine."""
    known = _PROFILES.get(symbol)
    if known is not None:
        return known
    digest = hashlib.sha256(symbol.encode()).digest()
    price = 10 ** (2 + 1.6 * digest[0] / 255)  # 100 to 4,000 rupees
    volatility = 0.012 + 0.010 * digest[1] / 255
    volume = round(10 ** (9.5 - math.log10(price)))  # some 300 crore rupees a session
    return Profile(symbol, round(price, 0), volatility, volume, 2.0)


def tick_size_at(price: float) -> Decimal:
    return next((tick for below, tick in _TICK_SIZES if price < below), _HIGHEST_TICK_SIZE)
