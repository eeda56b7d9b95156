"""`alphapanda up`, whole: what it prints, that it trades, what it survives, and that it leaves nothing behind.

The tests of the first desk share it, in their order; the later ones start it again on the same data.
"""

import json
import os
import re
import signal
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.processes import (
    Program,
    ask,
    ask_json,
    command,
    descendants,
    environment,
    running,
    until,
    until_gone,
)

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

UP = command("alphapanda.cli", "up", "--port", "0", "--ui-port", "0")
READY = "Ctrl-C stops it"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("up")


@pytest.fixture(scope="module")
def variables(folder: Path) -> dict[str, str]:
    return environment(DATA_DIR=str(folder / "data"))


@pytest.fixture(scope="module")
def desk(folder: Path, variables: dict[str, str]) -> Iterator[Program]:
    with running(UP, folder / "first", variables) as program:
        program.until_it_says(READY)
        yield program


def _child(desk: Program, module: str) -> int:
    [pid] = [pid for pid, line in descendants(desk.pid).items() if f"-m {module}" in line]
    return pid


def _urls(output: str) -> dict[str, str]:
    return dict(re.findall(r"^  (API|API docs|Temporal web UI|Admin token) {2,}(\S+)", output, re.MULTILINE))


def _send(variables: dict[str, str], signal_id: str, *more: str) -> Any:
    order = ("--symbol", "INFY", "--side", "BUY", "--quantity", "10", "--signal-id", signal_id)
    return ask_json("signals", "send", *order, *more, variables=variables)


def _order(variables: dict[str, str], order_id: str) -> Any:
    return ask_json("orders", "show", order_id, variables=variables)


def _until_state(variables: dict[str, str], order_id: str, *states: str) -> Any:
    until(lambda: _order(variables, order_id)["state"] in states, lambda: _order(variables, order_id))
    return _order(variables, order_id)


def test_it_prints_where_everything_is_and_all_of_it_answers(desk: Program, folder: Path) -> None:
    where = _urls(desk.output())
    bearer = {"Authorization": f"Bearer {where['Admin token']}"}
    assert httpx.get(f"{where['API']}/orders", headers=bearer).status_code == 200
    assert httpx.get(f"{where['API']}/orders").status_code == 401
    assert httpx.get(where["API docs"]).status_code == 200
    assert httpx.get(where["Temporal web UI"], follow_redirects=True).status_code == 200
    [kept] = [path for path in (folder / "data").iterdir() if "token" in path.name]
    assert kept.read_text().strip() == where["Admin token"]
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_it_shows_its_progress_in_plain_lines_where_there_is_no_terminal(desk: Program) -> None:
    output = desk.output()
    for part in ("postgres", "valkey", "temporal", "migrations", "processes"):
        assert re.search(rf"^  {part} +ready in [\d.]+ s$", output, re.MULTILINE), output
    assert "\x1b" not in output


def test_a_paper_order_is_filled_and_seen_from_the_terminal(desk: Program, variables: dict[str, str]) -> None:
    accepted = _send(variables, "first")
    assert accepted["created"] is True
    assert _send(variables, "first")["created"] is False
    order = _until_state(variables, "paper:first", "FILLED")
    assert order["filled_quantity"] == 10
    events = ask_json("orders", "events", "paper:first", variables=variables)["items"]
    assert (events[0]["to_state"], events[-1]["to_state"]) == ("RECEIVED", "FILLED")
    [position] = [
        each
        for each in ask_json("positions", "--broker", "paper", "--by-strategy", variables=variables)["items"]
        if each["strategy_id"] == "manual"
    ]
    assert (position["tradingsymbol"], position["quantity"]) == ("INFY", 10)
    assert "paper:first" in ask("orders", "--strategy-id", "manual", variables=variables).stdout
    assert ask_json("signals", "show", "first", variables=variables)["orders"][0]["state"] == "FILLED"


def test_a_resting_order_is_modified_and_cancelled_from_the_terminal(desk: Program, variables: dict[str, str]) -> None:
    quote = ask_json("orders", "show", "paper:first", variables=variables)["average_price"]
    far = f"{round(float(quote) * 0.95, 1):.2f}"
    _send(variables, "resting", "--order-type", "LIMIT", "--price", far)
    _until_state(variables, "paper:resting", "OPEN")
    modified = ask("orders", "modify", "paper:resting", "--quantity", "11", variables=variables)
    assert modified.returncode == 0, modified.stderr
    until(lambda: bool(_order(variables, "paper:resting")["quantity"] == 11))
    assert ask("orders", "cancel", "paper:resting", variables=variables).returncode == 0
    assert _until_state(variables, "paper:resting", "CANCELLED")["filled_quantity"] == 0


def test_a_refusal_of_the_api_is_an_error_with_what_to_do(desk: Program, variables: dict[str, str]) -> None:
    unknown = ask("orders", "show", "paper:none", variables=variables)
    assert unknown.returncode == 1
    assert "[ORDER_UNKNOWN]" in unknown.stderr
    assert "next: " in unknown.stderr
    priced = ("--symbol", "INFY", "--side", "BUY", "--quantity", "1", "--price", "5")
    bad = ask("signals", "send", *priced, variables=variables)
    assert bad.returncode == 2
    assert "price: not allowed for MARKET" in bad.stderr


def test_trading_is_halted_and_resumed_from_the_terminal(desk: Program, variables: dict[str, str]) -> None:
    assert ask_json("brokers", "halt", "paper", "--reason", "rehearsal", variables=variables)["switch"] == "HALTED"
    _send(variables, "halted")
    assert _until_state(variables, "paper:halted", "DENIED")["reason_code"]
    assert ask_json("brokers", "resume", "paper", variables=variables)["switch"] == "ENABLED"
    [broker] = ask_json("brokers", variables=variables)["items"]
    assert (broker["broker"], broker["switch"]) == ("paper", "ENABLED")


def test_an_outage_is_rehearsed_from_the_terminal(desk: Program, variables: dict[str, str]) -> None:
    assert ask("paper", "expire-session", variables=variables).returncode == 0
    _send(variables, "waiting")
    _until_state(variables, "paper:waiting", "AWAITING_AUTH")
    assert ask("login", "--broker", "paper", variables=variables).returncode == 0
    _until_state(variables, "paper:waiting", "FILLED")


def test_doctor_finds_all_well_and_shows_no_secret(desk: Program, variables: dict[str, str]) -> None:
    report = ask("doctor", "--json", variables=variables)
    found = json.loads(report.stdout)
    assert report.returncode == 0, report.stdout
    assert found["ok"] is True
    components = {check["component"] for check in found["checks"]}
    assert {"postgres", "migrations", "redis", "temporal", "api", "disk", "clock", "data_dir"} <= components
    assert {"orders worker (paper)", "broker worker (paper)", "session (paper)", "feed"} <= components
    assert _urls(desk.output())["Admin token"] not in report.stdout
    assert found["endpoints"]["temporal_ui"] == _urls(desk.output())["Temporal web UI"]


def test_bootstrap_may_be_repeated_on_a_running_desk(desk: Program, variables: dict[str, str]) -> None:
    done = ask("bootstrap", variables=variables)
    assert done.returncode == 0, done.stderr


def test_a_second_desk_on_the_same_data_is_refused_and_the_first_goes_on(
    desk: Program, variables: dict[str, str], folder: Path
) -> None:
    with running(UP, folder / "second", variables) as second:
        assert second.ended() == 1
        assert f"in use by another alphapanda (pid {desk.pid})" in second.output()
    assert ask("orders", variables=variables).returncode == 0


def test_a_killed_worker_is_started_again_and_the_person_is_told(desk: Program, variables: dict[str, str]) -> None:
    before = _child(desk, "workers.broker")
    os.kill(before, signal.SIGKILL)
    desk.until_it_says("broker-paper ended with status -9")
    desk.until_it_says("broker-paper is running again")
    assert _child(desk, "workers.broker") != before
    _send(variables, "after-the-kill")
    _until_state(variables, "paper:after-the-kill", "FILLED")


def test_each_line_of_an_orders_work_says_whose_it_is(desk: Program, folder: Path, variables: dict[str, str]) -> None:
    _send(variables, "told")
    correlation_id = _until_state(variables, "paper:told", "FILLED")["correlation_id"]
    written = "".join(log.read_text() for log in (folder / "data" / "logs").glob("*.log"))
    told = [line for line in written.splitlines() if "order_id=paper:told" in line]
    assert any("state=FILLED" in line for line in told)
    assert any("outcome=DONE" in line for line in told)
    for fact in ("broker=paper", "signal_id=told", f"correlation_id={correlation_id}"):
        assert all(fact in line for line in told)


def test_no_secret_is_in_a_log_or_on_a_command_line(desk: Program, folder: Path) -> None:
    token = _urls(desk.output())["Admin token"]
    for log in (folder / "data" / "logs").iterdir():
        assert token not in log.read_text(errors="replace"), log
    assert not [line for line in descendants(desk.pid).values() if token in line]


def test_sigterm_stops_everything_in_order_and_cleanly(desk: Program, folder: Path) -> None:
    everything = descendants(desk.pid)
    assert desk.stop() == 0, desk.output()
    until_gone(everything)
    said = desk.output()
    order = [said.index(f"{name} stopped") for name in ("feed", "api", "orders")]
    assert order == sorted(order)
    assert "was killed" not in said
    assert said.rstrip().endswith("stopped")
    assert [path.name for path in (folder / "data" / "run").iterdir()] == ["lock"]


def test_asking_twice_to_stop_does_not_wait_for_a_worker_that_hangs(folder: Path, variables: dict[str, str]) -> None:
    # Draining may take a day here, so that only the second request can end it within the test's deadline.
    patient = {**variables, "ALPHAPANDA_ORDERS__SUBMIT_TIMEOUT_S": "86400"}
    with running([*UP, "--no-feed"], folder / "patient", patient) as desk:
        desk.until_it_says(READY)
        everything = descendants(desk.pid)
        os.kill(_child(desk, "workers.orders"), signal.SIGSTOP)
        desk.process.send_signal(signal.SIGTERM)
        desk.until_it_says("stopping (once more")
        desk.process.send_signal(signal.SIGTERM)
        assert desk.ended() == 0, desk.output()
        assert "orders was killed" in desk.output()
        until_gone(everything)


def test_it_starts_again_on_its_data_replays_a_recording_and_leaves_nothing_after_sigkill(
    folder: Path, variables: dict[str, str]
) -> None:
    recording = folder / "INFY.csv"
    bars = (f"2026-01-05T{9 + n // 60:02}:{n % 60:02}:00+05:30,1450,1452,1449,1451,1000" for n in range(15, 75))
    recording.write_text("timestamp,open,high,low,close,volume\n" + "\n".join(bars) + "\n")
    with running([*UP, "--no-feed"], folder / "third", variables) as desk:
        desk.until_it_says(READY)
        assert not [line for line in descendants(desk.pid).values() if "workers.feed" in line]
        for order_id in ("paper:first", "paper:after-the-kill"):
            assert _order(variables, order_id)["state"] == "FILLED"
        replayed = ask("replay", str(recording), variables=variables)
        assert replayed.returncode == 0, replayed.stderr
        assert "the replay is finished: 240 ticks" in replayed.stdout
        recording.write_text("not,a,recording\n1,2,3\n")
        broken = ask("replay", str(recording), variables=variables)
        assert broken.returncode == 1
        assert "INFY.csv" in broken.stderr
        everything = descendants(desk.pid)
        assert len(everything) > 6
        desk.process.kill()
        until_gone(everything)


def test_fresh_forgets_and_says_so_and_a_server_that_dies_ends_the_desk_with_the_reason(
    folder: Path, variables: dict[str, str]
) -> None:
    with running([*UP, "--fresh", "--no-feed"], folder / "fourth", variables) as desk:
        said = desk.until_it_says(READY)
        assert re.search(r"^erased .*postgres.* in ", said, re.MULTILINE)
        assert ask_json("orders", variables=variables)["items"] == []
        everything = descendants(desk.pid)
        [valkey] = [pid for pid, line in everything.items() if "valkey-server" in line]
        os.kill(valkey, signal.SIGKILL)
        assert desk.ended() == 1
        assert "error: valkey: ended by itself with status -9" in desk.output()
        until_gone(everything)


def test_it_stops_in_order_when_the_make_that_started_it_is_killed(folder: Path, variables: dict[str, str]) -> None:
    as_make_does = ["sh", "-c", 'ALPHAPANDA_PARENT_PID=$$ "$@"; exit', "sh", *UP, "--no-feed"]
    with running(as_make_does, folder / "make", variables) as make:
        make.until_it_says(READY)
        everything = descendants(make.pid)
        make.process.kill()
        until_gone(everything)
        make.until_it_says("broker-paper stopped")


@pytest.mark.parametrize(
    ("options", "words"),
    [(("--broker", "zerodha"), "ALPHAPANDA_ZERODHA__API_KEY"), (("--feed", "zerodha"), "this version")],
)
def test_what_is_not_there_is_refused_before_anything_is_opened(
    folder: Path, options: tuple[str, str], words: str
) -> None:
    refused = ask("up", *options, variables=environment(DATA_DIR=str(folder / "untouched")))
    assert refused.returncode in (1, 2)
    assert words in refused.stderr
    assert not (folder / "untouched").exists()


def test_a_part_that_cannot_live_ends_the_start_with_its_own_words(folder: Path) -> None:
    broken = folder / "broken.csv"
    broken.write_text("not,a,recording\n1,2,3\n")
    replay = [*UP, "--feed", "replay", "--file", str(broken)]
    with running(replay, folder / "fifth", environment(DATA_DIR=str(folder / "other"))) as desk:
        assert desk.ended() == 1
        everything = desk.output()
    assert "feed ended 3 times at its start" in everything
    assert "broken.csv" in everything
    assert "next: " in everything


def test_ctrl_c_while_it_starts_stops_it_cleanly(folder: Path) -> None:
    with running(UP, folder / "sixth", environment(DATA_DIR=str(folder / "other"))) as desk:
        desk.until_it_says("ready in")
        everything = descendants(desk.pid)
        desk.process.send_signal(signal.SIGINT)
        assert desk.ended() == 0, desk.output()
        until_gone(everything)
    assert "Traceback" not in desk.output()
