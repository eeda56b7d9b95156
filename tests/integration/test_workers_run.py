"""`python -m workers.run` on real servers: which processes it runs, and that they live, drain and die with it."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from redis.asyncio import Redis

from alphapanda.domain.ids import Broker
from alphapanda.live import heartbeats, keys
from alphapanda.stack import StackEndpoints
from tests.integration.processes import DEADLINE_S, command, descendants, environment, running, until_gone

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

PAPER = Broker("paper")


@pytest.fixture
def variables(stack_endpoints: StackEndpoints, ledger_url: str, tmp_path: Path) -> dict[str, str]:
    assert stack_endpoints.redis_url is not None
    assert stack_endpoints.temporal_address is not None
    return environment(
        DATA_DIR=str(tmp_path / "data"),
        DATABASE__URL=ledger_url,
        REDIS__URL=stack_endpoints.redis_url,
        TEMPORAL__ADDRESS=stack_endpoints.temporal_address,
    )


def _roles(pid: int) -> dict[str, int]:
    """The worker modules that run below `pid`, with their process ids."""
    found = {}
    for child, line in descendants(pid).items():
        words = line.split()
        if "-m" in words:
            found[" ".join(words[words.index("-m") + 1 :])] = child
    return found


async def _heard(redis: "Redis", component: str, broker: Broker) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while await heartbeats.read(redis, component, broker) is None:
            await asyncio.sleep(0.05)


async def test_it_runs_the_orders_worker_and_the_brokers_and_no_feed(
    variables: dict[str, str], redis: "Redis", tmp_path: Path
) -> None:
    with running(command("workers.run", "--broker", "paper"), tmp_path / "said", variables) as workers:
        for component in (keys.ORDERS, keys.BROKER):
            await _heard(redis, component, PAPER)
        children = _roles(workers.pid)
        assert sorted(children) == ["workers.broker --broker paper", "workers.orders"]
        assert workers.stop() == 0
        until_gone(set(children.values()))
    said = workers.output()
    assert said.count("child stopped") == 2
    assert "status=0" in said
    assert "role=supervisor" in said


async def test_a_killed_worker_is_started_again_with_its_status_logged(
    variables: dict[str, str], redis: "Redis", tmp_path: Path
) -> None:
    with running(command("workers.run", "--only", "orders"), tmp_path / "said", variables) as workers:
        await _heard(redis, keys.ORDERS, PAPER)
        [first] = _roles(workers.pid).values()
        os.kill(first, signal.SIGKILL)
        await redis.delete(keys.heartbeat(keys.ORDERS, PAPER))
        workers.until_it_says("child died; it is started again")
        await _heard(redis, keys.ORDERS, PAPER)
        [second] = _roles(workers.pid).values()
        assert second != first
        assert "status=-9" in workers.output()
        assert workers.stop() == 0


async def test_nothing_survives_the_death_of_the_supervisor(
    variables: dict[str, str], redis: "Redis", tmp_path: Path
) -> None:
    with running(command("workers.run"), tmp_path / "said", variables) as workers:
        await _heard(redis, keys.ORDERS, PAPER)
        everything = descendants(workers.pid)
        assert len(everything) >= 2
        workers.process.kill()
        until_gone(everything)


async def test_a_replay_that_is_finished_ends_the_feed_role(
    variables: dict[str, str], redis: "Redis", tmp_path: Path
) -> None:
    recording = tmp_path / "INFY.csv"
    recording.write_text(
        "timestamp,open,high,low,close,volume\n"
        + "".join(f"2026-01-05T09:{minute}:00+05:30,1450,1452,1449,1451,1000\n" for minute in range(15, 20))
    )
    replay = {**variables, "ALPHAPANDA_FEED__SOURCE": "replay", "ALPHAPANDA_FEED__FILES": str(recording)}
    with running(command("workers.run", "--only", "feed"), tmp_path / "said", replay) as workers:
        assert workers.ended() == 0, workers.output()
    assert "child finished" in workers.output()
    assert "the feed ended" in workers.output()


@pytest.mark.parametrize("broker", ["zerodha", "acme", "PAPER"])
def test_a_broker_that_is_not_active_is_refused(broker: str, tmp_path: Path) -> None:
    refused = subprocess.run(
        command("workers.run", "--broker", "paper", "--broker", broker),
        env=environment(DATA_DIR=str(tmp_path / "data")),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2
    assert f"--broker {broker}: it is not among ALPHAPANDA_ACTIVE_BROKERS (paper)" in refused.stderr
    assert "next: " in refused.stderr
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_role_is_bad_usage(tmp_path: Path) -> None:
    refused = subprocess.run(
        command("workers.run", "--only", "coffee"), env=environment(), cwd=tmp_path, capture_output=True, check=False
    )
    assert refused.returncode == 2
