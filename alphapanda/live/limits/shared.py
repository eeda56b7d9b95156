"""The account's windows in Redis: one script per question, answered within a short time or not at all."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from alphapanda.domain.ids import Broker
from alphapanda.feed.cancelling import cancel_and_wait
from alphapanda.live import keys
from alphapanda.live.limits.rules import MINUTE_S, SECOND_S, Family, Window
from alphapanda.live.quotes import LiveUnavailable

TIMEOUT_S = 0.5
"""The most that a Redis which does not answer costs a call."""

LONGEST_CLOSURE_S = 3600.0
"""A broker's penalty is never believed for longer, whatever its header says or the clock does."""

_SCRIPT = files("alphapanda.live.limits").joinpath("account.lua").read_text(encoding="utf-8")
_KEEP_S = {family: MINUTE_S if family is Family.ORDERS else SECOND_S for family in Family}


@dataclass(frozen=True)
class Question:
    """May one more call of this family be made, and what the asker remembers (see account.lua)."""

    family: Family
    windows: Sequence[Window] = ()
    per_day: int | None = None
    want: bool = True
    epoch: int = 0
    closed_s: float = 0.0
    day: int = 0
    calls: int = 0
    uncounted: int = 0
    ages_s: Sequence[float] = ()

    def encoded(self) -> str:
        return json.dumps(
            {
                "family": self.family,
                "windows": [[window.calls, _micros(window.seconds)] for window in self.windows],
                "keep": _micros(_KEEP_S[self.family]),
                "per_day": self.per_day or 0,
                "want": self.want,
                "epoch": self.epoch,
                "closed": _micros(self.closed_s),
                "longest_closure": _micros(LONGEST_CLOSURE_S),
                "day": self.day,
                "calls": self.calls,
                "uncounted": self.uncounted,
                "ages": [_micros(age) for age in self.ages_s],
            }
        )


class Outcome(IntEnum):
    WAIT = 0
    GRANTED = 1
    LOST = 2  # Redis forgot the grants of before: say what you remember of them


@dataclass(frozen=True)
class Answer:
    """`calls` order calls were made on IST day number `day`; `at_us` is the server's clock (epoch microseconds)."""

    outcome: Outcome
    wait_s: float
    epoch: int
    epoch_age_s: float
    closed_s: float
    day: int
    calls: int
    at_us: int


class SharedWindows:
    """One account's windows as all processes see them."""

    def __init__(self, redis: "Redis", broker: Broker) -> None:
        self._key = keys.limits(broker)
        self._script = redis.register_script(_SCRIPT)  # EVALSHA, and EVAL where the server does not know it yet

    async def ask(self, question: Question) -> Answer:
        """Raises LiveUnavailable, after TIMEOUT_S at the latest; the grant may then have been counted all the same."""
        try:
            outcome, wait, epoch, age, closed, day, calls, at = await self._bounded(question.encoded())
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            raise LiveUnavailable(f"the account's limits could not be read: {type(error).__name__}") from error
        return Answer(Outcome(outcome), wait / 1e6, epoch, age / 1e6, closed / 1e6, day, calls, at)

    async def _bounded(self, question: str) -> Any:
        # A task of its own: a timeout that cancels us once could be lost inside the client and wait for ever.
        call = asyncio.ensure_future(self._script(keys=[self._key], args=[question]))
        try:
            await asyncio.wait({call}, timeout=TIMEOUT_S)
            if not call.done():
                raise TimeoutError
            return call.result()
        finally:
            await cancel_and_wait([call])
            if not call.cancelled():
                call.exception()  # looked at, or asyncio complains that nobody did


def _micros(seconds: float) -> int:
    return round(seconds * 1_000_000)
