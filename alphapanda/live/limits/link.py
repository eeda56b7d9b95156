"""What one process and Redis tell each other about an account's calls, and what it keeps in case Redis forgets.

Redis may be emptied or restarted at any time, but the broker does not forget. So each process remembers its own
grants of the last minute and the day's count. It learns from the epoch of the account's hash that this is a new one,
says what it remembers, and only then is granted anything. What it granted itself while cut off it says on return.
"""

import asyncio
import time
from collections.abc import Sequence

import structlog
from redis.asyncio import Redis

from alphapanda.domain.ids import Broker
from alphapanda.live.limits.local import DayCount
from alphapanda.live.limits.rules import MINUTE_S, SECOND_S, Family, Window
from alphapanda.live.limits.shared import TIMEOUT_S, Answer, Outcome, Question, SharedWindows
from alphapanda.live.quotes import LiveUnavailable

_log = structlog.get_logger(__name__)

RETRY_S = 1.0
"""While cut off, Redis is asked again this often, by whoever wants a turn."""

HUSH_S = RETRY_S + TIMEOUT_S + SECOND_S
"""How long nobody is granted anything once Redis is back after an outage: the longest that another process may still
go on by its share, and until those calls have left the window of a second."""


class Link:
    """All times are of the monotonic clock, in seconds."""

    def __init__(self, redis: "Redis", broker: Broker, today: DayCount) -> None:
        self._broker = broker
        self._shared = SharedWindows(redis, broker)
        self._today = today
        self._epoch = 0
        self._granted: dict[Family, list[float]] = {family: [] for family in Family}
        self._untold: dict[Family, list[float]] = {family: [] for family in Family}
        self._closed_until = 0.0
        self._untold_closed_until = 0.0
        self._is_cut_off = False
        self.cut_at = 0.0
        self.retry_at = 0.0

    def may_ask(self) -> bool:
        """Whether Redis is to be asked. While cut off, one caller per RETRY_S finds out; nobody waits for it."""
        at = time.monotonic()
        if not self._is_cut_off:
            return True
        if at < self.retry_at:
            return False
        self.retry_at = at + RETRY_S
        return True

    def closed_s(self) -> float:
        """For how long nobody may call, as far as is known here."""
        return max(0.0, max(self._closed_until, self._untold_closed_until) - time.monotonic())

    def close(self, seconds: float) -> None:
        """Nobody calls for so long; Redis is told with the next question."""
        self._untold_closed_until = max(self._untold_closed_until, time.monotonic() + seconds)

    def granted_here(self, family: Family, at: float) -> None:
        """Granted by the local share: to be told to Redis when it can be asked again."""
        self._remember(family, at)
        self._untold[family].append(at)

    async def ask(
        self, family: Family, windows: Sequence[Window] = (), per_day: int | None = None, *, want: bool = True
    ) -> Answer | None:
        """None: Redis cannot be asked, and this process is cut off. LOST: it has been told to remember; ask again."""
        at = time.monotonic()
        ages, uncounted = self._take_untold(family)
        told_closed_until = self._untold_closed_until
        question = Question(
            family,
            windows,
            per_day,
            want,
            epoch=self._epoch,
            closed_s=max(0.0, told_closed_until - at, self._hush_s(ages, at)),
            day=self._today.day,
            calls=self._today.known,
            uncounted=uncounted,
            ages_s=[at - granted for granted in ages],
        )
        try:
            answer = await self._shared.ask(question)
        except LiveUnavailable as error:
            self._put_back(family, ages, uncounted)
            self._cut(error)
            return None
        except asyncio.CancelledError:
            self._put_back(family, ages, uncounted)
            raise
        self._back()
        if answer.outcome is Outcome.LOST:
            self._put_back(family, ages, uncounted)
            self._remind(answer)
            return answer
        if self._untold_closed_until == told_closed_until:
            self._untold_closed_until = 0.0
        self._closed_until = max(self._closed_until, at + answer.closed_s)
        self._learn(family, answer)
        return answer

    def _take_untold(self, family: Family) -> tuple[list[float], int]:
        """Taken out, lest a question asked meanwhile says the same again."""
        ages, self._untold[family] = self._untold[family], []
        if family is not Family.ORDERS:
            return ages, 0
        uncounted, self._today.uncounted = self._today.uncounted, 0
        return ages, uncounted

    def _put_back(self, family: Family, ages: list[float], uncounted: int) -> None:
        self._untold[family] = sorted({*ages, *self._untold[family]})  # some may have been reminded of meanwhile
        self._today.uncounted += uncounted

    def _hush_s(self, ages: Sequence[float], at: float) -> float:
        """Who comes back with fresh grants of its own must expect that others still go on by their shares."""
        newest = max((times[-1] for times in (ages, *self._untold.values()) if times), default=None)
        return HUSH_S if self._is_cut_off and newest is not None and at - newest < HUSH_S else 0.0

    def _remind(self, answer: Answer) -> None:
        """Redis began anew. All that is remembered is untold again; others may not have noticed yet."""
        if answer.epoch == self._epoch:
            return  # another question of ours found out already
        self._epoch = answer.epoch
        at = time.monotonic()
        for family, granted in self._granted.items():
            self._untold[family] = [when for when in granted if at - when < MINUTE_S]
        self._untold_closed_until = max(self._closed_until, self._untold_closed_until, at + HUSH_S - answer.epoch_age_s)

    def _learn(self, family: Family, answer: Answer) -> None:
        self._epoch = self._epoch or answer.epoch
        self._today.learn(answer.day, answer.calls)
        if answer.outcome is Outcome.GRANTED:
            at = time.monotonic()
            self._remember(family, at)
            if answer.epoch != self._epoch:  # Redis began anew just after it: what we say of before lacks this one
                self._untold[family].append(at)

    def _remember(self, family: Family, at: float) -> None:
        granted = self._granted[family]
        granted[:] = [when for when in granted if at - when < MINUTE_S]
        granted.append(at)

    def _cut(self, error: LiveUnavailable) -> None:
        self.retry_at = time.monotonic() + RETRY_S
        if not self._is_cut_off:
            self._is_cut_off = True
            self.cut_at = time.monotonic()
            _log.warning(
                "the account's call limits are not shared; this process goes on by its share",
                broker=self._broker,
                error=error.message,
            )

    def _back(self) -> None:
        if self._is_cut_off:
            self._is_cut_off = False
            _log.info("the account's call limits are shared again", broker=self._broker)
