"""The calls of Kite's API that the simulator answers."""

from enum import StrEnum


class Call(StrEnum):
    PLACE = "place"
    MODIFY = "modify"
    CANCEL = "cancel"
    ORDERS = "orders"
    ORDER_HISTORY = "order-history"
    ORDER_TRADES = "order-trades"
    TRADES = "trades"
    POSITIONS = "positions"
    HOLDINGS = "holdings"
    MARGINS = "margins"
    PROFILE = "profile"
    INSTRUMENTS = "instruments"
    QUOTE = "quote"
    ORDER_MARGINS = "order-margins"
    CONTRACT_NOTE = "contract-note"
    SESSION = "session"  # the exchange of a request token
    LOGOUT = "logout"


ORDER_CALLS = frozenset({Call.PLACE, Call.MODIFY, Call.CANCEL})
BOOK_READS = frozenset({Call.ORDERS, Call.ORDER_HISTORY, Call.ORDER_TRADES, Call.TRADES})
