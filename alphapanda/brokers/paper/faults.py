"""Faults that can be armed on the paper exchange, to rehearse what real brokers do."""

from enum import StrEnum


class PaperFault(StrEnum):
    """Each armed fault befalls one call, then is spent."""

    UNAVAILABLE = "UNAVAILABLE"
    """place, modify or cancel: the broker cannot be reached, nothing is sent (BrokerUnavailable)."""

    LOSE_REQUEST = "LOSE_REQUEST"
    """place: the request is lost, nothing is placed (AmbiguousOutcome)."""

    REJECT_NEXT = "REJECT_NEXT"
    """place: the exchange rejects; the order is in the book as REJECTED."""

    LOSE_REPLY = "LOSE_REPLY"
    """place: the order is placed, but the reply is lost (AmbiguousOutcome)."""

    HIDE_FROM_BOOK = "HIDE_FROM_BOOK"
    """place: as LOSE_REPLY, and for some seconds the book does not show the order."""

    BOOK_UNAVAILABLE = "BOOK_UNAVAILABLE"
    """orders, order, find_by_tag, trades, positions, margins: the read fails (BrokerUnavailable)."""


HIDE_SECONDS = "hide_s"
"""Key beside the armed faults: how long HIDE_FROM_BOOK hides."""

DEFAULT_HIDE_S = 5.0
