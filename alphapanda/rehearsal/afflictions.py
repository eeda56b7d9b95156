"""What can befall an order, as faults of the simulator, and which orders it can befall."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from alphapanda.kitesim.faults import Fault
from alphapanda.rehearsal.plan import Arming, Disturb, Kind, Sockets, Step
from alphapanda.rehearsal.tempo import Tempo

PLAIN = frozenset(
    {
        Kind.MARKET, Kind.AT_MARKET, Kind.RESTING, Kind.STOP, Kind.STOP_MARKET, Kind.AT_ONCE, Kind.MINUTES,
        Kind.ICEBERG,
    }
)  # fmt: skip
"""Kinds of which nothing more is wanted than that they are placed."""

_TRADING = frozenset({Kind.MARKET, Kind.AT_MARKET})
_READS = ["orders", "order-history", "order-trades", "trades"]


@dataclass(frozen=True, slots=True)
class Affliction:
    """Faults that strike one order together, or none; `kinds` are the orders for which they make sense."""

    faults: tuple[Arming, ...]
    kinds: frozenset[Kind] = PLAIN


def afflictions(tempo: Tempo) -> tuple[Affliction, ...]:
    """All of them, each at least once a storm."""
    return (*_of_placing(tempo), *_of_fates(tempo), *_of_changes(tempo))


def disturbances(tempo: Tempo) -> tuple[tuple[Step, ...], ...]:
    """What befalls no single order: each a few steps that belong together."""
    per_read = tuple(
        (Disturb(Arming(fault, {"calls": _READS, "count": 2, **options})),)
        for fault, options in (
            (Fault.TIMEOUT_BEFORE, {"seconds": tempo.hold_s}),
            (Fault.RESET_AFTER, {}),
            (Fault.SERVER_ERROR, {"status": 503}),
            (Fault.HTML_502, {}),
            (Fault.MALFORMED_JSON, {}),
            (Fault.NO_DATA, {}),
            (Fault.NO_CONTENT_TYPE, {}),
            (Fault.TOO_MANY_REQUESTS, {}),
            (Fault.REDIRECT, {}),
        )
    )
    return (
        *per_read,
        (Sockets("drop"),),
        (Sockets("mute"),),
        (Disturb(Arming(Fault.SOCKET_MUTE)), Sockets("drop")),
        (Disturb(Arming(Fault.SOCKET_FORBIDDEN)), Sockets("drop")),
        (Disturb(Arming(Fault.SOCKET_BUSY)), Sockets("drop")),
    )


def weather() -> tuple[Disturb, ...]:
    """What goes on all the time: updates and postbacks that come twice, late, or never."""
    return tuple(
        Disturb(Arming(fault, {"count": None, "probability": 0.1}))
        for fault in (
            Fault.UPDATE_LOST, Fault.UPDATE_DUPLICATED, Fault.UPDATE_REORDERED, Fault.POSTBACK_LOST,
            Fault.POSTBACK_DUPLICATED, Fault.POSTBACK_REORDERED,
        )
    )  # fmt: skip


def held_on_the_wire(tempo: Tempo) -> tuple[Arming, ...]:
    """The order is accepted and its reply held back: whoever waits for it can be killed meanwhile."""
    return (Arming(Fault.TIMEOUT_AFTER, {"seconds": tempo.hold_s}),)


def _of_placing(tempo: Tempo) -> Iterator[Affliction]:
    """The reply to the placing is spoilt. Unless `accepted` is False the order was carried out."""
    hold: dict[str, Any] = {"seconds": tempo.hold_s}
    for fault, options in (
        (Fault.TIMEOUT_BEFORE, hold),
        (Fault.TIMEOUT_AFTER, hold),
        (Fault.RESET_BEFORE, {}),
        (Fault.RESET_AFTER, {}),
        (Fault.SERVER_ERROR, {"status": 500}),
        (Fault.SERVER_ERROR, {"status": 503, "accepted": False}),
        (Fault.HTML_502, {}),
        (Fault.HTML_504, {}),
        (Fault.HTML_504, {"accepted": False}),
        (Fault.MALFORMED_JSON, {}),
        (Fault.NO_DATA, {}),
        (Fault.NO_ERROR_TYPE, {}),
        (Fault.NO_CONTENT_TYPE, {}),
        (Fault.REDIRECT, {}),
        (Fault.TIMED_OUT_400, {"seconds": tempo.late_placement_s}),
        (Fault.TOO_MANY_REQUESTS, {"count": 2}),
        (Fault.IP_NOT_ALLOWED, {}),
        (Fault.REJECT_MARGIN, {}),
        (Fault.REJECT_HOLDING, {}),
        (Fault.REJECT_ORDER, {}),
        (Fault.REJECT_INPUT, {}),
        (Fault.REJECT_USER, {}),
    ):
        yield Affliction((Arming(fault, options),))


def _of_fates(tempo: Tempo) -> Iterator[Affliction]:
    """The order is accepted and fares badly; the worst lose the reply as well."""
    lost = Arming(Fault.RESET_AFTER)
    held = Arming(Fault.TIMEOUT_AFTER, {"seconds": tempo.hold_s})
    lag = Arming(Fault.BOOK_LAG, {"seconds": tempo.lag_s})
    stuck = Arming(Fault.STUCK, {"seconds": tempo.stuck_s})
    yield Affliction((lag,))
    yield Affliction((lag, lost))
    yield Affliction((lag, held))
    yield Affliction((stuck,))
    yield Affliction((stuck, lost))
    yield Affliction((Arming(Fault.HIDDEN, {"seconds": tempo.hidden_s}), lost))
    # Until somebody asks the broker: longer than the desk looks for it.
    yield Affliction((Arming(Fault.HIDDEN), held))
    yield Affliction((Arming(Fault.EXCHANGE_REJECT, {"seconds": 0.5}),))
    yield Affliction((Arming(Fault.PARTIAL_FILL, {"ratio": 0.5}),), _TRADING)
    yield Affliction((Arming(Fault.PARTIAL_FILL, {"ratio": 0.4}), lost), _TRADING)
    yield Affliction((Arming(Fault.LATE_FILL, {"seconds": tempo.late_fill_s}),), frozenset({Kind.CANCELLED}))
    yield Affliction((Arming(Fault.SLICE_FAILURE),), frozenset({Kind.SLICED}))
    yield Affliction((lost,), frozenset({Kind.SLICED}))


def _of_changes(tempo: Tempo) -> Iterator[Affliction]:
    """Cancels and modifications lose their replies like any call, and a cancel is a request."""
    hold = {"seconds": tempo.hold_s}
    for fault, options in (
        (Fault.TIMEOUT_AFTER, hold),
        (Fault.TIMEOUT_BEFORE, hold),
        (Fault.RESET_AFTER, {}),
        (Fault.HTML_502, {"accepted": False}),
        (Fault.TOO_MANY_REQUESTS, {}),
    ):
        yield Affliction((Arming(fault, {"calls": ["cancel"], **options}),), frozenset({Kind.CANCELLED}))
        yield Affliction((Arming(fault, {"calls": ["modify"], **options}),), frozenset({Kind.MODIFIED}))
    yield Affliction((), frozenset({Kind.REPLACED}))
    yield Affliction((Arming(Fault.RESET_AFTER, replacement=True),), frozenset({Kind.REPLACED}))
