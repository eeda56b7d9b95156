"""What the adapter needs from elsewhere, as it uses it: the stored session and the account's call limits."""

from datetime import datetime
from typing import Protocol

from alphapanda.domain.ids import Broker
from alphapanda.live.limits import CallKind


class AccessToken(Protocol):
    """A session; `opened_at` tells it from the ones before and after it."""

    @property
    def token(self) -> str: ...

    @property
    def user_id(self) -> str: ...

    @property
    def opened_at(self) -> datetime: ...


class Tokens(Protocol):
    async def read(self, broker: Broker) -> AccessToken | None:
        """The session as stored now; None: nobody is logged in."""
        ...

    async def write(self, broker: Broker, token: str, user_id: str, *, at: datetime) -> None: ...

    async def forget(self, broker: Broker, *, opened_at: datetime) -> None:
        """Drop the session, if it is still the one opened then."""
        ...


class Limits(Protocol):
    async def acquire(self, kind: CallKind, *, within_s: float) -> None:
        """Wait for a turn at most that long; raises RateLimited."""
        ...

    async def penalise(self, retry_after_s: float) -> None:
        """The broker said 429: nobody calls before that."""
        ...

    def learn_orders_today(self, calls: int) -> None:
        """The account made at least so many order calls today, by us or by hand."""
        ...
