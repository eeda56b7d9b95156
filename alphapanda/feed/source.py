"""What a source of ticks is: it names its instruments and yields batches in the order of the exchange's time."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Protocol

from alphapanda.domain.errors import AlphaPandaError
from alphapanda.domain.instrument import Instrument
from alphapanda.live.quotes import Tick

Clock = Callable[[], float]
"""Our clock: seconds since the epoch (UTC)."""


class FeedSourceError(AlphaPandaError):
    """The configured source of ticks cannot be used."""

    code = "FEED_SOURCE_INVALID"
    default_next_action = "Correct ALPHAPANDA_FEED__SOURCE and the settings beside it."


def no_live_ticker() -> FeedSourceError:
    """The refusal of the source `zerodha`."""
    return FeedSourceError(
        "feed source zerodha: this version has no live ticker",
        next_action="Set ALPHAPANDA_FEED__SOURCE to simulator, replay or none.",
    )


class TickSource(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """Every instrument the source quotes, by key (`NSE:INFY`)."""

    @property
    def in_lockstep(self) -> bool:
        """Whether the next batch must wait until the signals of the last one are delivered."""

    @property
    def skipped(self) -> int:
        """Ticks that were due but not made, because their consumer was too far behind."""

    def batches(self) -> AsyncGenerator[Sequence[Tick], None]:
        """Ticks until the source ends. Closing the iterator at any await releases everything it holds."""
