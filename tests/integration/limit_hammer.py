"""Calls an account as hard as its limits allow, and prints what Redis granted: `python -m … REDIS_URL SECONDS KIND…`"""

import asyncio
import json
import sys
from typing import Any

from redis.asyncio import Redis

from alphapanda.brokers.protocol import RateLimited
from alphapanda.domain.ids import Broker
from alphapanda.live.limits import AccountLimits, CallKind
from alphapanda.live.limits.shared import Answer, Outcome, Question, SharedWindows
from alphapanda.settings import CallLimits

ACCOUNT = Broker("zerodha")
IN_FLIGHT = 4


class Observed(SharedWindows):
    """The account's windows, with what they granted: the server's time in seconds."""

    def __init__(self, *of: Any) -> None:
        super().__init__(*of)
        self.granted: list[float] = []

    async def ask(self, question: Question) -> Answer:
        answer = await super().ask(question)
        if answer.outcome is Outcome.GRANTED:
            self.granted.append(answer.at_us / 1e6)
        return answer


def observe(limits: AccountLimits, redis: "Redis") -> Observed:
    limits._link._shared = observed = Observed(redis, ACCOUNT)
    return observed


async def hammer(redis: "Redis", kind: CallKind, seconds: float) -> list[float]:
    """The grants of one process that always wants more."""
    limits = AccountLimits(redis, ACCOUNT, CallLimits())
    observed = observe(limits, redis)
    until = asyncio.get_running_loop().time() + seconds

    async def caller() -> None:
        while asyncio.get_running_loop().time() < until:
            try:
                await limits.acquire(kind, within_s=0.5)
            except RateLimited as refusal:
                await asyncio.sleep(min(refusal.retry_after_s, 0.1))

    await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))
    return observed.granted


async def main(url: str, seconds: float, kinds: list[CallKind]) -> None:
    async with Redis.from_url(url) as redis:
        grants = await asyncio.gather(*(hammer(redis, kind, seconds) for kind in kinds))
    print(json.dumps([[kind, at] for kind, times in zip(kinds, grants, strict=True) for at in times]))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), [CallKind(kind) for kind in sys.argv[3:]]))
