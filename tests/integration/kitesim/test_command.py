"""`alphapanda kite-sim` as a trader starts it."""

import hashlib
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.integration.kitesim.clients import USUAL
from tests.integration.processes import Program, command, environment, running, until_gone

LAST_LINE = "ALPHAPANDA_ZERODHA__LOGIN_ROOT="

PARENT = """
import os, subprocess, sys, time
variables = {**os.environ, "ALPHAPANDA_PARENT_PID": str(os.getpid())}
child = subprocess.Popen(sys.argv[1:], env=variables)
print("child", child.pid, flush=True)
time.sleep(600)
"""


@contextmanager
def simulator(said: Path, *arguments: str) -> Iterator[tuple[Program, str]]:
    """The running command and its URL."""
    argv = command("alphapanda.cli", "kite-sim", "--port", "0", *arguments)
    with running(argv, said, environment()) as program:
        yield program, url_in(program.until_it_says(LAST_LINE))


def url_in(output: str) -> str:
    found = re.search(r"API_ROOT=(\S+)", output)
    assert found is not None
    return found.group(1)


def session(http: httpx.Client) -> dict[str, str]:
    """The headers that a login by hand gives."""
    page = http.get("/connect/login?api_key=kitesim").text
    request_token = page.partition("request_token: ")[2].partition("<")[0]
    checksum = hashlib.sha256(f"kitesim{request_token}kitesim-is-no-secret".encode()).hexdigest()
    given = {"api_key": "kitesim", "request_token": request_token, "checksum": checksum}
    token = http.post("/session/token", data=given).json()["data"]["access_token"]
    return {"authorization": f"token kitesim:{token}"}


def place(http: httpx.Client, **changes: object) -> str:
    form = {name: str(value) for name, value in (USUAL | changes).items()}
    return str(http.post("/orders/regular", data=form).json()["data"]["order_id"])


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_it_says_what_to_set_and_ends_when_told(tmp_path: Path, signum: signal.Signals) -> None:
    with simulator(tmp_path / "sim.log") as (program, url):
        for name in ("API_KEY", "API_SECRET", "API_ROOT", "TICKER_ROOT"):
            assert f"export ALPHAPANDA_ZERODHA__{name}=" in program.output()
        assert httpx.get(f"{url}/sim/state").json()["orders"] == []

        program.process.send_signal(signum)

        assert program.ended() == 0
        assert program.output().endswith("stopped\n")


def test_killed_and_started_again_it_has_the_same_book_and_session(tmp_path: Path) -> None:
    kept = ("--state", str(tmp_path / "book.sqlite"), "--ticks-per-second", "0")
    with simulator(tmp_path / "first.log", *kept) as (program, url), httpx.Client(base_url=url) as http:
        headers = session(http)
        http.headers.update(headers)
        placed = [place(http, price=1400, tag="kept"), place(http, price=1500, tag="filled")]
        program.process.kill()
        program.ended()

    with simulator(tmp_path / "second.log", *kept) as (_, url):
        truth = httpx.get(f"{url}/sim/state").json()
        seen = httpx.get(f"{url}/orders", headers=headers).json()["data"]

    assert [order["order_id"] for order in truth["orders"]] == placed
    assert [order["status"] for order in truth["orders"]] == ["OPEN", "COMPLETE"]
    assert len(truth["trades"]) == 1
    assert {order["order_id"] for order in seen} == set(placed)


def test_a_taken_port_and_a_bad_state_file_are_said_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "bad").write_text("this is no book at all, " * 100)
    with simulator(tmp_path / "sim.log") as (_, url):
        port = url.rpartition(":")[2]
        for arguments, said in (
            (("--port", port), f"cannot listen on 127.0.0.1:{port}"),
            (("--port", "0", "--state", str(tmp_path / "bad")), "cannot be opened as a simulator's book"),
            (("--cash", "much"), "--cash"),
        ):
            with running(
                command("alphapanda.cli", "kite-sim", *arguments), tmp_path / "other.log", environment()
            ) as it:
                assert it.ended() != 0
            assert said in it.output()
            assert "Traceback" not in it.output()


def test_it_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    child = command("alphapanda.cli", "kite-sim", "--port", "0")
    with running([sys.executable, "-c", PARENT, *child], tmp_path / "parent.log", environment()) as parent:
        output = parent.until_it_says(LAST_LINE)
        found = re.search(r"child (\d+)", output)
        assert found is not None

        parent.process.kill()
        parent.ended()

        until_gone({int(found.group(1))})
