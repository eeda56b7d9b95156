"""Which processes the desk consists of. They are named here and not imported: they stand above this package."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

from alphapanda.domain.ids import Broker
from alphapanda.running.children import Child, module
from alphapanda.settings import PREFIX, Settings

_FEED_DRAIN_S = 15.0
_API_DRAIN_S = 15.0
_AFTER_THE_LONGEST_CALL_S = 10.0

_CREDENTIALS = {Broker("zerodha"): ("ZERODHA__API_KEY", "ZERODHA__API_SECRET", "ZERODHA__TOKEN_KEY")}


class WorkerRole(StrEnum):
    ORDERS = "orders"
    BROKER = "broker"
    FEED = "feed"


def worker_children(
    settings: Settings, roles: Sequence[WorkerRole], brokers: Sequence[Broker], *, logs: Path | None = None
) -> list[Child]:
    """A child per role, and per broker for the broker role; their logs in the folder `logs`, or with ours."""
    # A broker's request on the wire is finished, never cut off: a lost reply is an UNKNOWN order.
    drain_s = settings.orders.submit_timeout_s + _AFTER_THE_LONGEST_CALL_S
    children: list[Child] = []
    if WorkerRole.ORDERS in roles:
        children.append(Child("orders", module("workers.orders"), _log(logs, "orders"), drain_s))
    if WorkerRole.BROKER in roles:
        for broker in brokers:
            name, program = f"broker-{broker}", module("workers.broker", "--broker", broker)
            children.append(Child(name, program, _log(logs, name), drain_s, environment=_without_others(broker)))
    if WorkerRole.FEED in roles:
        feed = Child("feed", module("workers.feed"), _log(logs, "feed"), _FEED_DRAIN_S, may_finish=True)
        children.append(feed)
    return children


def api_child(*, logs: Path | None = None) -> Child:
    return Child("api", module("api"), _log(logs, "api"), _API_DRAIN_S)


def _without_others(broker: Broker) -> dict[str, str]:
    """What a broker's process could trade with elsewhere, set to nothing: that also wins over a `.env` file.

    Addresses are no secret, and tell whether all brokers are simulated.
    """
    return {PREFIX + name: "" for other, names in _CREDENTIALS.items() if other != broker for name in names}


def _log(folder: Path | None, name: str) -> Path | None:
    return folder / f"{name}.log" if folder else None
