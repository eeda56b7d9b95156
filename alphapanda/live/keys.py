"""The one registry of Redis keys and channels; writers and readers both import it.

Market data is `shared`; everything else is named by its broker.
"""

from alphapanda.domain.ids import Broker

TICKS_CHANNEL = "alphapanda:shared:ticks"
"""Pub/sub: batches of ticks as msgpack (see `alphapanda.live.quotes`)."""


def quote(instrument: str) -> str:
    """Last quote of `NSE:INFY`, msgpack of `Quote`."""
    return f"alphapanda:shared:quote:{instrument}"


FEED = "feed"
ORDERS = "orders"
BROKER = "broker"


def heartbeat(component: str, broker: Broker | None = None) -> str:
    """Last sign of life of a process: `feed` (shared), or `broker` and `orders` of one broker."""
    return f"alphapanda:{broker or 'shared'}:heartbeat:{component}"


def limits(broker: Broker) -> str:
    """The account's recent calls and penalty, a hash of `alphapanda/live/limits/account.lua`."""
    return f"alphapanda:{broker}:limits"


def reconciled(broker: Broker) -> str:
    """What the broker's last reconciliation read, and when: JSON of `Reconciled`."""
    return f"alphapanda:{broker}:reconciled"


def postback(broker: Broker, digest: str) -> str:
    """That a postback with this content was taken lately (see `alphapanda/live/postbacks.py`)."""
    return f"alphapanda:{broker}:postback:{digest}"


def postbacks_of_proof(broker: Broker, digest: str) -> str:
    """How many postbacks under one checksum were taken lately."""
    return f"alphapanda:{broker}:postbacks:{digest}"
