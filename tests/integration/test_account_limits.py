"""Call limits of an account that several processes share through a real Redis, one that may stop, hang or forget."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import msgspec
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from alphapanda.brokers.protocol import RateLimited
from alphapanda.domain.ids import Broker
from alphapanda.feed.cancelling import cancel_and_wait
from alphapanda.live import keys
from alphapanda.live.limits import AccountLimits, CallKind
from alphapanda.live.limits.rules import MINUTE_S, SECOND_S, Family, until_next_day_s
from alphapanda.settings import CallLimits
from alphapanda.stack import EmbeddedStack, StackEndpoints
from tests.integration.limit_hammer import ACCOUNT, hammer, observe
from tests.integration.processes import ENDS_WITH_US

PATIENCE_S = 30.0
ENTRIES = (CallKind.PLACE, CallKind.MODIFY)


def account(redis: "Redis", broker: Broker = ACCOUNT, **limits: int) -> AccountLimits:
    """The limits as one more process would see them."""
    return AccountLimits(redis, broker, CallLimits(**limits))


async def granted(limits: AccountLimits, kind: CallKind, wanted: int = 100) -> int:
    """How many calls find a turn at once."""
    for count in range(wanted):
        try:
            await limits.acquire(kind, within_s=0)
        except RateLimited:
            return count
    return wanted


async def refusal(limits: AccountLimits, kind: CallKind, within_s: float = 0) -> RateLimited:
    with pytest.raises(RateLimited) as caught:
        await limits.acquire(kind, within_s=within_s)
    return caught.value


def most_in_any(seconds: float, times: list[float]) -> int:
    return max(sum(at <= other < at + seconds for other in times) for at in times)


@pytest.fixture
async def own_server(tmp_path: Path) -> AsyncIterator[EmbeddedStack]:
    """A Valkey that the test may stop, freeze or kill."""
    async with EmbeddedStack(tmp_path, postgres=False, temporal=False, ui_port=None, durable=False) as stack:
        yield stack


@pytest.fixture
async def own_redis(own_server: EmbeddedStack) -> AsyncIterator["Redis"]:
    assert own_server.endpoints.redis_url is not None
    client = Redis.from_url(own_server.endpoints.redis_url)
    yield client
    await client.aclose()


# --- The windows ---


async def test_processes_that_hammer_one_account_never_exceed_a_rolling_window(
    redis: "Redis", stack_endpoints: StackEndpoints
) -> None:
    assert stack_endpoints.redis_url is not None
    others = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.limit_hammer", stack_endpoints.redis_url, "4", "PLACE", "CANCEL",
        stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2], preexec_fn=ENDS_WITH_US,
    )  # fmt: skip
    ours = await asyncio.gather(hammer(redis, CallKind.PLACE, 4), hammer(redis, CallKind.EXIT, 4))
    output, _ = await others.communicate()
    theirs = json.loads(output)

    everything = [at for times in ours for at in times] + [at for _, at in theirs]
    assert min(len(ours[1]), len(theirs)) > 0, "each process had its turns"
    assert len(everything) > 20, "the windows were full more than once"
    assert most_in_any(SECOND_S, everything) == 10


async def test_entries_that_hammer_an_account_leave_the_reserve_free_at_any_moment(redis: "Redis") -> None:
    entries = await asyncio.gather(*(hammer(redis, kind, 3) for kind in (*ENTRIES, CallKind.PLACE)))
    everything = [at for times in entries for at in times]
    assert len(everything) > 8
    assert most_in_any(SECOND_S, everything) == 8
    assert await granted(account(redis), CallKind.EXIT, wanted=2) == 2


async def test_a_full_minute_refuses_all_processes_until_its_first_call_leaves_it(redis: "Redis") -> None:
    one, other = (account(redis, orders_per_minute=6) for _ in range(2))
    assert await granted(one, CallKind.PLACE, wanted=2) == 2
    assert await granted(other, CallKind.MODIFY) == 2
    assert await granted(other, CallKind.CANCEL) == 2
    for limits in (one, other):
        for kind in (CallKind.PLACE, CallKind.MODIFY, CallKind.CANCEL, CallKind.EXIT):
            assert SECOND_S < (await refusal(limits, kind)).retry_after_s <= MINUTE_S
    assert await granted(one, CallKind.READ, wanted=1) == 1


async def test_a_full_day_refuses_until_the_next_day_in_india(redis: "Redis") -> None:
    one, other = (account(redis, orders_per_day=5) for _ in range(2))
    assert await granted(one, CallKind.PLACE) == 4
    assert await granted(other, CallKind.EXIT) == 1
    for kind in (CallKind.PLACE, CallKind.CANCEL):
        for limits in (one, other):
            wait_s = (await refusal(limits, kind)).retry_after_s
            assert wait_s == pytest.approx(until_next_day_s(datetime.now(UTC)), abs=60)


async def test_a_book_that_shows_more_calls_than_we_counted_is_believed(redis: "Redis") -> None:
    one, other = (account(redis, orders_per_day=100) for _ in range(2))
    one.learn_orders_today(97)  # most of them placed by hand, elsewhere
    assert await granted(one, CallKind.PLACE) == 0
    assert await granted(other, CallKind.CANCEL) == 3
    assert await granted(one, CallKind.EXIT) == 0


async def test_each_family_of_calls_has_its_own_window(redis: "Redis") -> None:
    limits = {CallKind.CANCEL: 10, CallKind.READ: 10, CallKind.HISTORICAL: 3, CallKind.QUOTE: 1}
    grants = await asyncio.gather(*(hammer(redis, kind, 2) for kind in limits))
    assert {kind: most_in_any(SECOND_S, times) for kind, times in zip(limits, grants, strict=True)} == limits


async def test_accounts_at_different_brokers_do_not_share_limits(redis: "Redis") -> None:
    one, other = account(redis, orders_per_minute=4), account(redis, Broker("paper"), orders_per_minute=4)
    assert await granted(one, CallKind.CANCEL) == 4
    await one.penalise(60)
    assert await granted(other, CallKind.CANCEL) == 4


async def test_a_forgotten_script_is_sent_again(redis: "Redis") -> None:
    limits = account(redis)
    await limits.acquire(CallKind.READ, within_s=0)
    await redis.script_flush()
    with capture_logs() as logs:
        await limits.acquire(CallKind.READ, within_s=0)
    assert logs == []


# --- Waiting ---


async def test_a_call_waits_for_its_turn(redis: "Redis") -> None:
    limits = account(redis)
    observed = observe(limits, redis)
    for _ in range(3):
        await limits.acquire(CallKind.QUOTE, within_s=PATIENCE_S)
    assert most_in_any(SECOND_S, observed.granted) == 1


async def test_a_call_that_cannot_have_a_turn_in_time_is_refused_at_once(redis: "Redis") -> None:
    limits = account(redis, orders_per_minute=2)
    assert await granted(limits, CallKind.CANCEL) == 2
    async with asyncio.timeout(PATIENCE_S):
        assert (await refusal(limits, CallKind.CANCEL, within_s=45)).retry_after_s > 45


async def test_an_exit_overtakes_the_entries_that_wait(redis: "Redis") -> None:
    limits = account(redis, orders_per_minute=10)
    assert await granted(limits, CallKind.PLACE) == 8
    waiting = [asyncio.create_task(limits.acquire(CallKind.PLACE, within_s=90)) for _ in range(5)]
    await asyncio.sleep(0)
    await limits.acquire(CallKind.EXIT, within_s=0)
    await limits.acquire(CallKind.CANCEL, within_s=0)
    assert not any(entry.done() for entry in waiting)
    await cancel_and_wait(waiting)


async def test_calls_that_wait_behind_another_give_up_in_their_own_time(redis: "Redis") -> None:
    limits = account(redis, orders_per_minute=2)
    assert await granted(limits, CallKind.PLACE) == 1
    first = asyncio.create_task(limits.acquire(CallKind.PLACE, within_s=90))
    await asyncio.sleep(0)
    assert not first.done()
    assert (await refusal(limits, CallKind.PLACE, within_s=0.2)).code == "BROKER_RATE_LIMITED"
    await cancel_and_wait([first])


async def test_a_call_that_is_cancelled_while_it_waits_lets_the_next_one_in(redis: "Redis") -> None:
    limits = account(redis)
    await limits.acquire(CallKind.QUOTE, within_s=0)
    first = asyncio.create_task(limits.acquire(CallKind.QUOTE, within_s=PATIENCE_S))
    second = asyncio.create_task(limits.acquire(CallKind.QUOTE, within_s=PATIENCE_S))
    await asyncio.sleep(0)
    await cancel_and_wait([first])
    await second


# --- Penalties ---


async def test_a_penalty_silences_every_process_and_every_kind_of_call(redis: "Redis") -> None:
    one, other = account(redis), account(redis)
    await one.penalise(40)
    for limits in (one, other):
        for kind in CallKind:
            assert 30 < (await refusal(limits, kind)).retry_after_s <= 40


async def test_a_shorter_penalty_does_not_lift_a_longer_one(redis: "Redis") -> None:
    limits = account(redis)
    await limits.penalise(40)
    await limits.penalise(1)
    assert (await refusal(limits, CallKind.CANCEL)).retry_after_s > 30


async def test_calls_go_on_after_the_penalty(redis: "Redis") -> None:
    one, other = account(redis), account(redis)
    await one.penalise(0.5)
    await other.acquire(CallKind.CANCEL, within_s=PATIENCE_S)
    await one.acquire(CallKind.PLACE, within_s=PATIENCE_S)


@pytest.mark.parametrize("said", [float("inf"), 1e12])
async def test_no_penalty_is_believed_for_longer_than_an_hour(redis: "Redis", said: float) -> None:
    limits = account(redis)
    await limits.penalise(said)
    assert 3000 < (await refusal(limits, CallKind.READ)).retry_after_s <= 3600


@pytest.mark.parametrize("said", [-5, 0, float("nan")])
async def test_a_penalty_of_nothing_is_none(redis: "Redis", said: float) -> None:
    limits = account(redis)
    await limits.penalise(said)
    await limits.acquire(CallKind.READ, within_s=0)


# --- Redis forgets ---


async def test_a_redis_that_forgot_is_told_by_every_process_before_it_grants_again(redis: "Redis") -> None:
    one, other = (account(redis, orders_per_minute=6) for _ in range(2))
    assert await granted(one, CallKind.EXIT, wanted=4) == 4
    assert await granted(other, CallKind.EXIT, wanted=2) == 2
    await redis.flushall()
    # Neither knows of the other's calls: with what it knows alone it would find room.
    for refused in await asyncio.gather(*(refusal(one_of, CallKind.EXIT, PATIENCE_S) for one_of in (one, other))):
        assert refused.retry_after_s > PATIENCE_S
    assert await told(redis) == (6, 6)


async def test_a_redis_that_forgot_an_idle_account_grants_again(redis: "Redis") -> None:
    limits = account(redis)
    await limits.acquire(CallKind.READ, within_s=0)
    await redis.flushall()
    await limits.acquire(CallKind.PLACE, within_s=PATIENCE_S)
    assert await told(redis) == (1, 1)


async def test_a_penalty_outlives_a_redis_that_forgot_it(redis: "Redis") -> None:
    one, other = account(redis), account(redis)
    await other.acquire(CallKind.READ, within_s=0)
    await one.penalise(50)
    await redis.flushall()
    await refusal(one, CallKind.CANCEL)
    assert (await refusal(other, CallKind.CANCEL)).retry_after_s > 30


async def test_a_server_clock_that_was_set_back_holds_calls_up_for_a_minute_at_most(redis: "Redis") -> None:
    limits = account(redis, orders_per_minute=3)
    assert await granted(limits, CallKind.CANCEL) == 3
    tomorrow = (datetime.now(UTC).timestamp() + 86_400) * 1e6
    await redis.hset(keys.limits(ACCOUNT), "orders", msgspec.msgpack.encode([tomorrow] * 3))
    assert SECOND_S < (await refusal(limits, CallKind.CANCEL)).retry_after_s <= MINUTE_S
    assert await told(redis) == (3, 3)


# --- Redis is gone ---


async def test_after_redis_is_killed_every_process_goes_on_by_its_share(
    own_server: EmbeddedStack, own_redis: "Redis"
) -> None:
    processes = [account(own_redis) for _ in range(4)]
    for limits in processes:
        await granted(limits, CallKind.PLACE, wanted=2)
    with capture_logs() as logs:
        os.kill(own_server.pids()["valkey"], signal.SIGKILL)
        for limits in processes:
            # An entry waits out the minute, and is told to ask again when Redis itself will be asked.
            assert 0 < (await refusal(limits, CallKind.PLACE, within_s=1)).retry_after_s <= 1
        await asyncio.gather(
            *(limits.acquire(CallKind.EXIT, within_s=PATIENCE_S) for limits in processes for _ in range(5))
        )
    times = [at for limits in processes for at in limits._link._granted[Family.ORDERS]]
    assert len(times) == 8 + 20
    assert most_in_any(SECOND_S, times) <= 10
    warnings = [entry for entry in logs if entry["log_level"] == "warning"]
    assert len(warnings) == 4, "once per process"
    assert {entry["broker"] for entry in warnings} == {ACCOUNT}


async def test_a_penalty_holds_without_redis(own_server: EmbeddedStack, own_redis: "Redis") -> None:
    limits = account(own_redis)
    await limits.acquire(CallKind.CANCEL, within_s=0)
    os.kill(own_server.pids()["valkey"], signal.SIGKILL)
    await limits.penalise(30)
    await refusal(limits, CallKind.CANCEL, within_s=3)
    assert limits._link.closed_s() > 10


async def test_a_redis_that_hangs_is_waited_for_only_shortly(own_server: EmbeddedStack) -> None:
    assert own_server.endpoints.redis_url is not None
    async with Redis.from_url(own_server.endpoints.redis_url, socket_timeout=None) as patient:
        limits = account(patient)
        await limits.acquire(CallKind.CANCEL, within_s=0)
        os.kill(own_server.pids()["valkey"], signal.SIGSTOP)
        try:
            async with asyncio.timeout(PATIENCE_S):
                await refusal(limits, CallKind.PLACE)
                await limits.acquire(CallKind.CANCEL, within_s=PATIENCE_S)
                await limits.penalise(0)
        finally:
            os.kill(own_server.pids()["valkey"], signal.SIGCONT)
        await limits.acquire(CallKind.PLACE, within_s=PATIENCE_S)


async def test_what_was_granted_without_redis_is_told_when_it_is_back(
    own_server: EmbeddedStack, own_redis: "Redis"
) -> None:
    assert own_server.endpoints.redis_url is not None
    socket = Path(own_server.endpoints.redis_url.removeprefix("unix://"))
    limits, other = (account(own_redis, orders_per_minute=60) for _ in range(2))
    for process in (limits, other):
        await process.acquire(CallKind.CANCEL, within_s=0)
    with capture_logs() as logs:
        await cut_off(own_redis, socket)
        for _ in range(3):
            await limits.acquire(CallKind.EXIT, within_s=PATIENCE_S)
        socket.with_suffix(".away").rename(socket)
        async with asyncio.timeout(PATIENCE_S):
            while len(logs) < 2:
                await limits.penalise(0)  # asks for no turn
                await asyncio.sleep(0.05)
    assert [entry["log_level"] for entry in logs] == ["warning", "info"]
    assert await told(own_redis) == (5, 5)
    await other.acquire(CallKind.CANCEL, within_s=PATIENCE_S)
    assert await told(own_redis) == (6, 6)


async def test_a_call_cancelled_while_redis_hangs_does_not_take_along_what_is_to_be_told(
    own_server: EmbeddedStack, own_redis: "Redis"
) -> None:
    limits = account(own_redis)
    await limits.acquire(CallKind.CANCEL, within_s=0)
    os.kill(own_server.pids()["valkey"], signal.SIGSTOP)
    try:
        await limits.acquire(CallKind.CANCEL, within_s=PATIENCE_S)
        limits._link.retry_at = 0.0  # the next one finds out whether Redis is back
        asking = asyncio.create_task(limits.acquire(CallKind.CANCEL, within_s=PATIENCE_S))
        while limits._link._untold[Family.ORDERS]:
            await asyncio.sleep(0)
        await cancel_and_wait([asking])
    finally:
        os.kill(own_server.pids()["valkey"], signal.SIGCONT)
    assert len(limits._link._untold[Family.ORDERS]) == limits._today.uncounted == 1


async def cut_off(redis: "Redis", socket: Path) -> None:
    """Nobody reaches the server, which goes on."""
    socket.rename(socket.with_suffix(".away"))
    await redis.client_kill_filter(_type="normal", skipme=False)


async def told(redis: "Redis") -> tuple[int, int]:
    """How many order calls Redis knows of: on this day, and in the last minute."""
    calls, orders = cast("list[bytes]", await redis.hmget(keys.limits(ACCOUNT), ["calls", "orders"]))
    return int(calls), len(msgspec.msgpack.decode(orders, type=list[float]))
