"""What was done to the desk and by whom, as far as the verdict must know it."""

from dataclasses import dataclass, field

from alphapanda.domain.ids import SignalId


@dataclass(slots=True)
class Parked:
    """A parked order, and how a person resolved it: by what was to be seen in the broker's book."""

    order_id: str
    resolved: str = ""
    because: str = ""


@dataclass(slots=True)
class Conduct:
    """`signals`: how often each was handed in. `orders_of`: the different orders that the answers named.

    `by_hand`: order ids at the broker that were not the desk's doing. `calls_on_dead_session`: order calls that
    arrived once the desk knew that its session was dead.
    """

    signals: dict[SignalId, int] = field(default_factory=dict)
    orders_of: dict[SignalId, set[str]] = field(default_factory=dict)
    refused: dict[SignalId, str] = field(default_factory=dict)
    by_hand: set[str] = field(default_factory=set)
    kills: int = 0
    logins: int = 0
    calls_on_dead_session: int = 0
    parked: dict[str, Parked] = field(default_factory=dict)
    unsettled: list[str] = field(default_factory=list)
    """What had not come to rest when the patience for it was over."""
