"""What readiness tells of a feed that runs while some of its strategies do not."""

import time
from typing import Any

import httpx
import pytest
from redis.asyncio import Redis

from alphapanda.live import heartbeats, keys


async def feed_of(api: httpx.AsyncClient) -> dict[str, Any]:
    (broker,) = (await api.get("/health/ready")).json()["brokers"]
    feed: dict[str, Any] = broker["feed"]
    return feed


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        (
            {
                "suspended": {"mine": ["NSE:INFY"]},
                "strategy_problems": {"mine": "NSE:INFY, tick: KeyError: 1"},
            },
            "suspended: mine (NSE:INFY, tick: KeyError: 1)",
        ),
        ({"suspended": {"mine": ["NSE:INFY", "NSE:TCS"]}}, "suspended: mine (NSE:INFY, NSE:TCS)"),
        ({"reload_refused": "desk.yaml, entry 1: no"}, "the changed deployments are refused: desk.yaml, entry 1: no"),
    ],
)
async def test_a_strategy_that_does_not_run_is_shown(
    detail: dict[str, Any], said: str, api: httpx.AsyncClient, redis: Redis
) -> None:
    await heartbeats.write(redis, keys.FEED, state="RUNNING", at=time.time(), detail=detail)
    feed = await feed_of(api)
    assert feed["status"] == "degraded"
    assert said in feed["detail"]
    assert feed["next_action"].startswith("Correct the")


async def test_a_feed_whose_strategies_all_run_is_up(api: httpx.AsyncClient, redis: Redis) -> None:
    await heartbeats.write(redis, keys.FEED, state="RUNNING", at=time.time(), detail={"suspended": {}})
    feed = await feed_of(api)
    assert (feed["status"], feed["next_action"]) == ("up", None)
