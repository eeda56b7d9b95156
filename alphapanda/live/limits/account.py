"""`AccountLimits`: a turn for every call to a broker, account-wide while Redis answers, by a local share while not."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime

from redis.asyncio import Redis

from alphapanda.brokers.protocol import RateLimited
from alphapanda.domain.ids import Broker
from alphapanda.live.limits.link import Link
from alphapanda.live.limits.local import DayCount, LocalShare
from alphapanda.live.limits.rules import CallKind, Family, ist_day, per_day, windows
from alphapanda.live.limits.shared import LONGEST_CLOSURE_S, Outcome
from alphapanda.settings import CallLimits

_SHORTEST_SLEEP_S = 0.001


class _Lane:
    """Calls of this process that wait for the same thing, in the order of their coming. Only the first asks Redis."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.turn_at = 0.0

    async def enter(self, *, within_s: float) -> bool:
        try:
            async with asyncio.timeout(within_s):
                await self.lock.acquire()
        except TimeoutError:
            return False
        return True


class AccountLimits:
    """The call limits of one broker account, as one process sees them; one object per process and account.

    Grants are for immediate use: acquire last, with a thread and a connection at hand, or the broker counts the call
    in another second than we did (see JITTER_S).
    """

    def __init__(
        self,
        redis: "Redis",
        broker: Broker,
        limits: CallLimits,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._broker = broker
        self._limits = limits
        self._now = now
        self._today = DayCount()
        self._link = Link(redis, broker, self._today)
        self._share = LocalShare(limits)
        # Cancels and exits stand in a lane of their own, so that they never queue behind entries.
        self._lanes: defaultdict[tuple[Family, bool], _Lane] = defaultdict(_Lane)

    async def acquire(self, kind: CallKind, *, within_s: float) -> None:
        """Wait for a turn, `within_s` seconds at most. Raises RateLimited as soon as none can come by then.

        A Redis that does not answer adds half a second at most.
        """
        give_up_at = time.monotonic() + within_s
        lane = self._lanes[kind.family, kind.may_use_reserve]
        if not await lane.enter(within_s=within_s):
            raise self._no_turn(kind, within_s, lane.turn_at - time.monotonic())
        try:
            while (wait_s := await self._wait_for(kind)) > 0:
                lane.turn_at = time.monotonic() + wait_s
                if lane.turn_at > give_up_at:
                    raise self._no_turn(kind, within_s, wait_s)
                await asyncio.sleep(max(wait_s, _SHORTEST_SLEEP_S))
        finally:
            lane.lock.release()

    async def penalise(self, retry_after_s: float) -> None:
        """The broker said 429: no process calls this account before that (an hour at most), whatever the call."""
        self._link.close(min(max(0.0, retry_after_s), LONGEST_CLOSURE_S))
        while self._link.may_ask():  # else whoever asks Redis next says so
            answer = await self._link.ask(Family.ORDERS, want=False)
            if answer is None or answer.outcome is not Outcome.LOST:
                break

    def learn_orders_today(self, calls: int) -> None:
        """The broker's book of today shows that the account made at least so many order calls, by us or by hand."""
        self._today.learn(ist_day(self._now()), calls)

    async def _wait_for(self, kind: CallKind) -> float:
        """Zero: granted. Else seconds until it is worth asking again."""
        while self._link.may_ask():
            answer = await self._link.ask(kind.family, windows(self._limits, kind), per_day(self._limits, kind))
            if answer is None:
                break
            if answer.outcome is Outcome.GRANTED:
                # A penalty that came while Redis was answering holds for this call too; its grant is then wasted.
                return self._link.closed_s()
            if answer.outcome is Outcome.WAIT:
                return max(answer.wait_s, _SHORTEST_SLEEP_S)
        return self._wait_locally(kind)

    def _wait_locally(self, kind: CallKind) -> float:
        at = time.monotonic()
        wait_s = self._link.closed_s() or self._share.take(
            kind, self._today, cut_at=self._link.cut_at, at=at, now=self._now()
        )
        if wait_s > 0:
            return min(wait_s, max(self._link.retry_at - at, _SHORTEST_SLEEP_S))
        self._link.granted_here(kind.family, at)
        return 0.0

    def _no_turn(self, kind: CallKind, within_s: float, wait_s: float) -> RateLimited:
        return RateLimited(
            f"{self._broker}: the account's call limits leave no turn for a {kind} within {within_s:g} s",
            retry_after_s=max(wait_s, _SHORTEST_SLEEP_S),
        )
