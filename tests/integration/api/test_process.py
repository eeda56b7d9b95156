"""`python -m api` as a process: where it listens, how it stops, what it refuses to start with."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx

from alphapanda.stack import StackEndpoints
from tests.integration.processes import ENDS_WITH_US

ROOT = Path(__file__).resolve().parents[3]


def environment(tmp_path: Path, **others: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("ALPHAPANDA_")}
    return {
        **clean,
        "PYTHONPATH": str(ROOT),
        "ALPHAPANDA_DATA_DIR": str(tmp_path / "data"),
        "ALPHAPANDA_API__PORT": "0",
        **others,
    }


def start(tmp_path: Path, **others: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "api"],
        cwd=tmp_path,  # no .env of anybody's
        env=environment(tmp_path, **others),
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=ENDS_WITH_US,
    )


def listening_port(process: "subprocess.Popen[str]") -> int:
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if "api_listening" in line and (found := re.search(r"port\W+(\d+)", line)):
            return int(found[1])
    raise AssertionError("".join(lines))


def refused(tmp_path: Path, **others: str) -> str:
    """What it says when it will not start."""
    process = start(tmp_path, **others)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2, said
    assert "Traceback" not in said
    return said


def test_it_says_where_it_listens_answers_and_stops_in_order_on_sigterm(
    tmp_path: Path, stack_endpoints: StackEndpoints, ledger_url: str
) -> None:
    process = start(
        tmp_path,
        ALPHAPANDA_DATABASE__URL=ledger_url,
        ALPHAPANDA_REDIS__URL=stack_endpoints.redis_url or "",
        ALPHAPANDA_TEMPORAL__ADDRESS=stack_endpoints.temporal_address or "",
    )
    try:
        base = f"http://127.0.0.1:{listening_port(process)}"
        assert httpx.get(f"{base}/health/ready").status_code == 200
        assert httpx.get(f"{base}/api/v1/orders").status_code == 401
        token = (tmp_path / "data" / "admin_token").read_text().strip()
        answer = httpx.get(f"{base}/api/v1/orders", headers={"Authorization": f"Bearer {token}"})
        assert answer.json() == {"items": [], "next_cursor": None}
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 0, said
        assert token not in said
    finally:
        process.kill()
        process.wait()


def test_it_starts_while_nothing_else_runs(tmp_path: Path) -> None:
    process = start(tmp_path)
    try:
        base = f"http://127.0.0.1:{listening_port(process)}"
        assert httpx.get(f"{base}/health/live").status_code == 200
        assert httpx.get(f"{base}/health/ready").status_code == 503
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


def test_a_taken_port_is_named_with_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = refused(tmp_path, ALPHAPANDA_API__PORT=str(taken.getsockname()[1]))
    assert "ALPHAPANDA_API__PORT" in said
    assert "choose another" in said


def test_production_without_a_token_is_refused(tmp_path: Path) -> None:
    assert "ALPHAPANDA_API__ADMIN_TOKEN" in refused(tmp_path, ALPHAPANDA_ENVIRONMENT="production")


def test_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    assert "ALPHAPANDA_API__PROT" in refused(tmp_path, ALPHAPANDA_API__PROT="8000")


def test_in_production_the_reference_needs_the_token(tmp_path: Path) -> None:
    process = start(tmp_path, ALPHAPANDA_ENVIRONMENT="production", ALPHAPANDA_API__ADMIN_TOKEN="0123456789abcdef")
    try:
        base = f"http://127.0.0.1:{listening_port(process)}"
        assert httpx.get(f"{base}/docs").status_code == 401
        assert httpx.get(f"{base}/docs", headers={"Authorization": "Bearer 0123456789abcdef"}).status_code == 200
    finally:
        process.kill()
        process.wait()
