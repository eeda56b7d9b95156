"""The command line's edge: errors as words and exit codes, never a traceback; bad options refused before anything."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from alphapanda import __version__


@pytest.fixture
def run(tmp_path: Path) -> "Runner":
    return Runner(tmp_path)


class Runner:
    """`alphapanda …` as a process of its own, in an empty folder, with no settings but those given."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ALPHAPANDA_")}
        return subprocess.run(
            [sys.executable, "-P", "-m", "alphapanda.cli", *arguments],
            cwd=self.folder,
            env={**kept, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


def test_help_names_every_command(run: Runner) -> None:
    shown = run("--help").stdout
    for command in (
        "up",
        "doctor",
        "bootstrap",
        "replay",
        "orders",
        "positions",
        "signals",
        "brokers",
        "login",
        "paper",
        "bench",
        "version",
    ):
        assert f"\n  {command} " in shown


@pytest.mark.parametrize(
    ("group", "commands"),
    [
        ("orders", ("show", "events", "cancel", "approve", "deny", "resolve", "modify", "retry")),
        ("brokers", ("halt", "exits-only", "resume")),
        ("signals", ("send", "show")),
        ("paper", ("expire-session", "fault")),
    ],
)
def test_help_of_a_group_names_its_commands(group: str, commands: tuple[str, ...], run: Runner) -> None:
    shown = run(group, "--help").stdout
    for command in commands:
        assert f"\n  {command} " in shown


def test_help_imports_nothing_slow() -> None:
    program = (
        "import sys, alphapanda.cli\n"
        "slow = ('pydantic', 'pydantic_settings', 'sqlalchemy', 'httpx', 'redis', 'structlog', 'alembic')\n"
        "print([name for name in slow if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_version_prints_the_version(run: Runner) -> None:
    assert run("version").stdout == f"{__version__}\n"


def test_an_unknown_command_or_option_is_bad_usage(run: Runner) -> None:
    assert run("upp").returncode == 2
    assert run("up", "--prot", "1").returncode == 2


def test_a_bad_setting_is_named_with_what_to_do_and_no_traceback(run: Runner) -> None:
    refused = run("orders", ALPHAPANDA_API__PORT="none")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: ALPHAPANDA_API__PORT: ")
    assert "next: " in refused.stderr
    assert "Traceback" not in refused.stderr


def test_debug_shows_the_traceback_too(run: Runner) -> None:
    refused = run("--debug", "orders", ALPHAPANDA_API__PORT="none")
    assert refused.returncode == 2
    assert "Traceback" in refused.stderr
    assert "error: ALPHAPANDA_API__PORT: " in refused.stderr


def test_without_a_desk_the_lists_say_how_to_start_one(run: Runner) -> None:
    for command in ("orders", "signals", "positions", "brokers"):
        refused = run(command)
        assert refused.returncode == 1
        assert "alphapanda up" in refused.stderr
    assert list(run.folder.iterdir()) == []  # asking makes nothing


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--feed", "replay"), "--feed replay: needs at least one --file"),
        (("--file", "x.csv"), "--file: only a replay reads files"),
        (("--no-feed", "--feed", "simulator"), "--no-feed: not allowed beside"),
        (("--feed", "replay", "--file", "absent.csv"), "--file: there is no file absent.csv"),
        (("--feed", "pigeon"), "ALPHAPANDA_FEED__SOURCE: "),
        (("--broker", "acme"), "ALPHAPANDA_ACTIVE_BROKERS: "),
        (("--port", "70000"), "ALPHAPANDA_API__PORT: "),
    ],
)
def test_up_refuses_bad_options_before_it_makes_anything(
    arguments: tuple[str, ...], complaint: str, run: Runner
) -> None:
    refused = run("up", *arguments)
    assert refused.returncode == 2
    assert complaint in refused.stderr
    assert list(run.folder.iterdir()) == []


@pytest.mark.parametrize("option", ["--port", "--ui-port"])
def test_a_taken_port_is_named_with_its_option_before_anything_is_started(option: str, run: Runner) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        ports = {"--port": "0", "--ui-port": "0", option: str(port)}
        refused = run("up", *(word for pair in ports.items() for word in pair))
    assert refused.returncode == 1
    assert f"port {port} for " in refused.stderr
    assert option in refused.stderr.partition("next: ")[2]
    assert list(run.folder.iterdir()) == []


def test_fresh_does_not_erase_half_of_the_truth(run: Runner) -> None:
    refused = run("up", "--fresh", ALPHAPANDA_DATABASE__URL="postgresql+asyncpg://u:hunter2@localhost:1/x")
    assert refused.returncode == 2
    assert "--fresh: " in refused.stderr
    assert "hunter2" not in refused.stderr


def test_a_signal_is_checked_before_anybody_is_asked(run: Runner) -> None:
    refused = run("signals", "send", "--symbol", "INFY", "--side", "HOLD", "--quantity", "1")
    assert refused.returncode == 2
    assert "HOLD" in refused.stderr


def test_doctor_without_a_desk_says_what_to_do_and_fails(run: Runner) -> None:
    found = run("doctor", "--json")
    assert found.returncode == 1
    report = json.loads(found.stdout)
    assert report["ok"] is False
    checks = {check["component"]: check for check in report["checks"]}
    assert checks["python"]["status"] == checks["settings"]["status"] == checks["data_dir"]["status"] == "ok"
    assert checks["servers"]["status"] == checks["api"]["status"] == "failed"
    for check in checks.values():
        assert (check["next_action"] is None) == (check["status"] == "ok")
    assert "alphapanda up" in checks["servers"]["next_action"]


def test_doctor_names_servers_that_do_not_answer_and_no_password(run: Runner) -> None:
    found = run(
        "doctor",
        "--json",
        ALPHAPANDA_DATABASE__URL="postgresql+asyncpg://u:hunter2@127.0.0.1:1/x",
        ALPHAPANDA_REDIS__URL="redis://:hunter2@127.0.0.1:1/0",
        ALPHAPANDA_TEMPORAL__ADDRESS="127.0.0.1:1",
    )
    report = json.loads(found.stdout)
    status = {check["component"]: check["status"] for check in report["checks"]}
    assert status["postgres"] == status["redis"] == status["temporal port"] == "failed"
    assert "hunter2" not in found.stdout + found.stderr
    assert report["endpoints"]["redis"] == "redis://:***@127.0.0.1:1/0"


def test_doctor_reports_bad_settings_as_a_check(run: Runner) -> None:
    found = run("doctor", "--json", ALPHAPANDA_FOO="1")
    assert found.returncode == 1
    [check] = [check for check in json.loads(found.stdout)["checks"] if check["component"] == "settings"]
    assert check["status"] == "failed"
    assert "ALPHAPANDA_FOO" in check["detail"]


def test_a_data_dir_that_is_a_file_is_named(run: Runner) -> None:
    (run.folder / "taken").write_text("")
    checks = json.loads(run("doctor", "--json", "--data-dir", "taken").stdout)["checks"]
    [check] = [check for check in checks if check["component"] == "data_dir"]
    assert check["status"] == "failed"
