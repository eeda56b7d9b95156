"""The commands' API client against a real HTTP server that answers as ours does, and as no server should."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from alphapanda.commands.client import ApiClient, ApiInputRefused, ApiRefused, ApiUnreachable
from alphapanda.commands.common import in_path, shown
from alphapanda.domain.errors import AlphaPandaError
from alphapanda.edge import EXIT_BAD_INPUT, EXIT_FAILED, EXIT_INTERRUPTED, at_the_edge
from alphapanda.settings import Settings

PROBLEM = {
    "title": "Not Found",
    "status": 404,
    "detail": "no order 'paper:x' is known",
    "code": "ORDER_UNKNOWN",
    "next_action": "Look it up.",
}


class Answers:
    """What the server is to answer, and what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.body = "{}"
        self.asked: list[tuple[str, str, str | None, bytes]] = []


class Server(ThreadingHTTPServer):
    answers: Answers


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        answers = self.server.answers
        length = int(self.headers.get("content-length") or 0)
        given = self.rfile.read(length)
        answers.asked.append((self.command, self.path, self.headers.get("authorization"), given))
        self.send_response(answers.status)
        self.end_headers()
        self.wfile.write(answers.body.encode())

    do_POST = do_GET  # noqa: N815 - the library's name

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as server:
        server.answers = Answers()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def api(server: Server, tmp_path: Path) -> Iterator[ApiClient]:
    settings = Settings.load(
        data_dir=tmp_path, api={"host": "127.0.0.1", "port": server.server_address[1], "admin_token": "a-token"}
    )
    with ApiClient.of(settings) as client:
        yield client


def test_questions_carry_the_token_and_no_empty_filters(api: ApiClient, server: Server) -> None:
    api.get("/orders", broker="paper", state=["OPEN", "FILLED"], strategy_id=None)
    api.post("/orders/paper:x/cancel")
    assert server.answers.asked == [
        ("GET", "/api/v1/orders?broker=paper&state=OPEN&state=FILLED", "Bearer a-token", b""),
        ("POST", "/api/v1/orders/paper:x/cancel", "Bearer a-token", b""),
    ]


def test_a_problem_becomes_an_error_with_its_code_and_next_action(api: ApiClient, server: Server) -> None:
    server.answers.status, server.answers.body = 404, json.dumps(PROBLEM)
    with pytest.raises(ApiRefused, match="no order 'paper:x' is known") as refused:
        api.get("/orders/paper:x")
    assert (refused.value.refusal_code, refused.value.next_action) == ("ORDER_UNKNOWN", "Look it up.")


def test_bad_input_is_told_from_other_refusals(api: ApiClient, server: Server) -> None:
    server.answers.status, server.answers.body = 422, json.dumps({**PROBLEM, "status": 422})
    with pytest.raises(ApiInputRefused):
        api.post("/signals", {})


@pytest.mark.parametrize("body", ["<html>bad gateway</html>", "[]", '{"detail": "no code"}', ""])
def test_an_error_that_is_no_problem_document_shows_its_status(body: str, api: ApiClient, server: Server) -> None:
    server.answers.status, server.answers.body = 502, body
    with pytest.raises(ApiRefused, match="502"):
        api.get("/orders")


def test_readiness_is_read_also_when_something_is_down(api: ApiClient, server: Server) -> None:
    document = {"status": "down", "components": {}, "brokers": []}
    server.answers.status, server.answers.body = 503, json.dumps(document)
    assert api.ready() == document
    server.answers.body = "<html>components</html>"
    with pytest.raises(ApiRefused, match="503"):
        api.ready()


def test_an_answer_that_is_not_json_is_no_success(api: ApiClient, server: Server) -> None:
    server.answers.body = "<html>hello</html>"
    with pytest.raises(ApiRefused, match="200"):
        api.get("/orders")


def test_nobody_there_is_unreachable(tmp_path: Path) -> None:
    settings = Settings.load(data_dir=tmp_path, api={"port": 1, "admin_token": "a-token"})
    with ApiClient.of(settings) as api, pytest.raises(ApiUnreachable, match=r"127\.0\.0\.1:1 "):
        api.get("/orders")


def test_an_id_cannot_leave_its_place_in_the_path() -> None:
    assert in_path("paper:a/../b?c#d") == "paper:a%2F..%2Fb%3Fc%23d"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        ("", "–"),
        (True, "yes"),
        (0, "0"),
        ("1450.00", "1450.00"),
        ("2026-01-05T04:15:00.120000Z", "2026-01-05 09:45:00 IST"),
        ("not-a-dateTat-all-but-long", "not-a-dateTat-all-but-long"),
        ({"a": 1}, '{"a": 1}'),
    ],
)
def test_values_are_shown_for_people(value: object, text: str) -> None:
    assert shown(value) == text


def _raise(error: BaseException) -> int:
    raise error


def test_the_edge_turns_errors_into_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    input_refused = ApiInputRefused("bad", refusal_code="INPUT_INVALID")
    assert at_the_edge(lambda: None) == 0
    assert at_the_edge(lambda: 3) == 3
    assert at_the_edge(lambda: _raise(input_refused)) == EXIT_BAD_INPUT
    assert at_the_edge(lambda: _raise(AlphaPandaError("broken"))) == EXIT_FAILED
    assert at_the_edge(lambda: _raise(KeyboardInterrupt())) == EXIT_INTERRUPTED
    assert at_the_edge(lambda: _raise(ZeroDivisionError("of redis://u:hunter2@h"))) == EXIT_FAILED
    said = capsys.readouterr().err
    assert "error: bad [INPUT_INVALID]\n  next: " in said
    assert "[INTERNAL_ERROR]" in said
    assert "hunter2" not in said
    assert "Traceback" not in said
