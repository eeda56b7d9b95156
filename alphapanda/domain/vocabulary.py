"""The field's closed word lists, spelled as Kite Connect spells them."""

from enum import StrEnum


class Exchange(StrEnum):
    NSE = "NSE"
    BSE = "BSE"
    NFO = "NFO"
    BFO = "BFO"
    CDS = "CDS"
    MCX = "MCX"


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell: what one share of this side adds to a position."""
        return 1 if self is Side.BUY else -1

    @property
    def opposite(self) -> "Side":
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(StrEnum):
    MARKET = "MARKET"
    LIMIT = "LIMIT"
    SL = "SL"
    SL_M = "SL-M"

    @property
    def has_limit_price(self) -> bool:
        return self in (OrderType.LIMIT, OrderType.SL)

    @property
    def has_trigger(self) -> bool:
        return self in (OrderType.SL, OrderType.SL_M)


class Product(StrEnum):
    CNC = "CNC"
    NRML = "NRML"
    MIS = "MIS"
    MTF = "MTF"


class Validity(StrEnum):
    DAY = "DAY"
    IOC = "IOC"
    TTL = "TTL"


class Variety(StrEnum):
    """How an order is worked: at once, after market hours for the next open, or in legs that hide its size."""

    REGULAR = "regular"
    AMO = "amo"
    ICEBERG = "iceberg"


class UnfilledMarket(StrEnum):
    """What becomes of the part of a market order that stays open beyond the broker's protection band."""

    WAIT = "wait"
    REPRICE = "reprice"
    CANCEL = "cancel"


class SessionState(StrEnum):
    """A broker login as we know it."""

    UNKNOWN = "UNKNOWN"
    LOGIN_REQUIRED = "LOGIN_REQUIRED"
    ACTIVE = "ACTIVE"
    EXPIRED = "EXPIRED"

    @property
    def needs_login(self) -> bool:
        """Whether nothing can be sent before somebody logs in. UNKNOWN does not say so: a call finds out."""
        return self in (SessionState.LOGIN_REQUIRED, SessionState.EXPIRED)


class TradingSwitch(StrEnum):
    """What a broker (or strategy) may do now."""

    ENABLED = "ENABLED"
    EXITS_ONLY = "EXITS_ONLY"
    HALTED = "HALTED"
