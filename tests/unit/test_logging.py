"""Logs as they really come out of a process: complete, redacted, readable or JSON."""

import json
import os
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapanda.logging import level_of
from alphapanda.redaction import HIDDEN, is_secret_name, redact, redact_text

ROOT = Path(__file__).resolve().parents[2]

# Speaks through structlog, the standard library and an exception, inside and outside of an order's context.
PROGRAM = """
import logging, sys, warnings
import structlog
from alphapanda.logging import configure_logging, log_context
from alphapanda.settings import Settings

settings = Settings.load(
    environment=sys.argv[1],
    database={"url": "postgresql+asyncpg://bob:hunter%3222@db/alphapanda"},
    api={"admin_token": "the-admin-token"},
    zerodha={"api_secret": "the-api-secret"},
)
early = structlog.get_logger("early")
configure_logging(settings, "orders")
early.info("outside")
with log_context(broker="paper", order_id="paper:s1", signal_id="s1", correlation_id="c1"):
    log = structlog.get_logger("ours")
    log.info("inside", quantity=5)
    with log_context(order_id="paper:s2"):
        log.info("deeper")
    logging.getLogger("sqlalchemy.pool").warning("pool of %s", "postgresql://bob:other-pass@db/x")
    temporal = {"workflow_id": "order:paper:s1", "attempt": 2, "input": "long"}
    logging.getLogger("temporalio.activity").warning("failed", extra={"temporal_activity": temporal})
    log.warning("keys", access_token="zzz", headers={"Authorization": "Bearer qqq"}, instrument_token=408065)
    try:
        raise RuntimeError("cannot connect: hunter222 / the-admin-token / the-api-secret / api_key=kkk&x=1")
    except RuntimeError:
        log.exception("it failed")
        logging.getLogger("redis").exception("it failed too")
log.info("outside again")
log.debug("not at this level")
logging.getLogger("httpx").info("each request")
warnings.warn("from the warnings module")
"""
SECRETS = ("hunter", "other-pass", "the-admin-token", "the-api-secret", "zzz", "qqq", "kkk")


def _run(environment: str) -> list[str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("ALPHAPANDA_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, environment],
        cwd=ROOT,
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == ""
    return done.stderr.splitlines()


@pytest.fixture(scope="module")
def production() -> list[dict[str, object]]:
    return [json.loads(line) for line in _run("production")]


@pytest.fixture(scope="module")
def development() -> list[str]:
    return _run("development")


def _line(lines: list[dict[str, object]], event: str) -> dict[str, object]:
    [found] = [line for line in lines if line["event"] == event]
    return found


def test_in_production_every_line_is_json_with_time_level_event_and_role(production: list[dict[str, object]]) -> None:
    assert len(production) == 10
    for line in production:
        assert {"timestamp", "level", "event", "role", "logger"} <= line.keys()
        assert line["role"] == "orders"
        assert datetime.fromisoformat(str(line["timestamp"])).utcoffset() == timedelta(0)


def test_within_an_orders_context_every_line_carries_its_ids(production: list[dict[str, object]]) -> None:
    ids = {"broker": "paper", "order_id": "paper:s1", "signal_id": "s1", "correlation_id": "c1"}
    for event in ("inside", "pool of postgresql://bob:***@db/x", "failed", "it failed", "it failed too"):
        assert ids.items() <= _line(production, event).items(), event
    assert {**ids, "order_id": "paper:s2"}.items() <= _line(production, "deeper").items()
    for event in ("outside", "outside again"):
        assert not ids.keys() & _line(production, event).keys()


def test_a_library_speaks_through_the_same_processors(production: list[dict[str, object]]) -> None:
    assert _line(production, "failed")["level"] == "warning"
    assert _line(production, "failed")["workflow_id"] == "order:paper:s1"
    assert "input" not in _line(production, "failed")
    assert [line["logger"] for line in production if "warnings module" in str(line["event"])] == ["py.warnings"]


def test_exceptions_come_with_their_traceback(production: list[dict[str, object]]) -> None:
    for event in ("it failed", "it failed too"):
        text = str(_line(production, event)["exception"])
        assert text.startswith("Traceback (most recent call last)")
        assert "RuntimeError: cannot connect: ***" in text


@pytest.mark.parametrize("environment", ["production", "development"])
def test_no_secret_comes_out(environment: str, production: list[dict[str, object]], development: list[str]) -> None:
    text = json.dumps(production) if environment == "production" else "\n".join(development)
    assert [secret for secret in SECRETS if secret in text] == []
    assert text.count(HIDDEN) >= 10
    assert "408065" in text


def test_in_development_a_line_can_be_read(development: list[str]) -> None:
    [line] = [line for line in development if " inside " in line]
    assert "[info" in line
    assert "quantity=5" in line
    assert "order_id=paper:s1" in line


def test_the_level_of_a_rendered_line_can_be_told(development: list[str]) -> None:
    told = [level_of(line) for line in development]
    assert told.count("warning") == 4
    assert told.count("error") == 2
    assert None in told  # the lines of a traceback
    assert level_of('{"level":"error","event":"x"}') == "error"
    assert level_of("{not json") is None


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("postgresql+asyncpg://u:p@h/d", "postgresql+asyncpg://u:***@h/d"),
        ("redis://:pa/s@s@h:6379/0", "redis://:***@h:6379/0"),
        ("unix:///tmp/valkey.sock", "unix:///tmp/valkey.sock"),
        ("http://h:80/x", "http://h:80/x"),
        ("Authorization: token key:access", "Authorization: ***"),
        ("{'Authorization': 'Bearer abc.def'}", "{'Authorization': '***'}"),
        ("sent bearer abcdef123", "sent bearer ***"),
        ("?request_token=abc&action=login", "?request_token=***&action=login"),
        (
            "GET /callback?status=success&request_token=abc HTTP/1.1",
            "GET /callback?status=success&request_token=*** HTTP/1.1",
        ),
        ("api_key=k&request_token=r&checksum=c", "api_key=***&request_token=***&checksum=***"),
        ("{'public_token': 'abc', 'enctoken': 'e=='}", "{'public_token': '***', 'enctoken': '***'}"),
        ('{"access_token": "abc", "user": "u"}', '{"access_token": "***", "user": "u"}'),
        ("api_secret = 'abc'", "api_secret = '***'"),
        ("instrument_token=408065", "instrument_token=408065"),
        ("ALPHAPANDA_API__ADMIN_TOKEN: must be set", "ALPHAPANDA_API__ADMIN_TOKEN: must be set"),
    ],
)
def test_secrets_are_found_by_the_shape_of_the_text(text: str, redacted: str) -> None:
    assert redact_text(text) == redacted


@pytest.mark.parametrize(
    ("name", "is_secret"),
    [
        ("token", True),
        ("access_token", True),
        ("accessToken", True),
        ("request_token", True),
        ("public_token", True),
        ("enctoken", True),
        ("checksum", True),
        ("X-Api-Key", True),
        ("password", True),
        ("api_secret", True),
        ("Authorization", True),
        ("instrument_token", False),
        ("token_count", False),
        ("idempotency_key", False),
        ("order_id", False),
    ],
)
def test_a_secret_is_told_by_its_name(name: str, is_secret: bool) -> None:
    assert is_secret_name(name) is is_secret


@given(st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1))
def test_whatever_a_password_is_it_leaves_a_url_and_a_nested_value(password: str) -> None:
    secret = f"#{password}#"
    given_value = {"list": [{"password": secret, "url": f"redis://u:{secret}@h"}], "object": object()}
    assert secret not in json.dumps(redact(given_value))
