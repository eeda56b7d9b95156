"""The API's edge: who may call, what errors look like, correlation ids, the reference page."""

import re
from pathlib import Path

import httpx
import pytest

from alphapanda.settings import Settings
from api.app import create_app
from tests.integration.api.conftest import HEADERS, TOKEN

NO_TOKEN = {"Authorization": ""}


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, object]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, object] = answer.json()
    assert document["code"] == code
    assert document["status"] == status
    assert document["correlation_id"] == answer.headers["x-correlation-id"]
    for member in ("type", "title", "detail", "next_action"):
        assert document[member]
    return document


@pytest.mark.parametrize("path", ["/api/v1/orders", "/api/v1/signals", "/nothing/here", "/health/live/"])
async def test_without_a_token_every_guarded_path_is_401(shared_api: httpx.AsyncClient, path: str) -> None:
    answer = await shared_api.get(path, headers=NO_TOKEN)
    assert_problem(answer, 401, "UNAUTHENTICATED")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", ["Bearer wrong", "Basic abc", "Bearer", "Bearer \xe9\xfc"])
async def test_a_wrong_token_is_401_and_said_to_be_invalid(shared_api: httpx.AsyncClient, header: str) -> None:
    answer = await shared_api.get("/api/v1/orders", headers=[(b"Authorization", header.encode("latin-1"))])
    assert_problem(answer, 401, "UNAUTHENTICATED")
    assert "invalid_token" in answer.headers["www-authenticate"]


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/api/v1/health/live", "/api/v1/health/ready"])
async def test_the_probes_need_no_token(shared_api: httpx.AsyncClient, path: str) -> None:
    answer = await shared_api.get(path, headers=NO_TOKEN)
    assert answer.status_code == 200, answer.text


async def test_an_unknown_path_is_a_404_problem(shared_api: httpx.AsyncClient) -> None:
    assert_problem(await shared_api.get("/api/v1/nothing"), 404, "NOT_FOUND")


async def test_a_wrong_method_is_a_405_problem_that_names_the_right_ones(shared_api: httpx.AsyncClient) -> None:
    answer = await shared_api.delete("/api/v1/orders")
    assert_problem(answer, 405, "METHOD_NOT_ALLOWED")
    assert "GET" in answer.headers["allow"]


async def test_a_body_that_is_not_json_is_a_422_problem(shared_api: httpx.AsyncClient) -> None:
    answer = await shared_api.post("/api/v1/signals", content=b"{", headers={"Content-Type": "application/json"})
    assert "not JSON" in str(assert_problem(answer, 422, "INPUT_INVALID")["detail"])


async def test_a_body_that_is_not_utf8_is_a_problem(shared_api: httpx.AsyncClient) -> None:
    answer = await shared_api.post(
        "/api/v1/signals", content=b'{"a": "\xff\xfe"}', headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_huge_body_is_refused(shared_api: httpx.AsyncClient) -> None:
    answer = await shared_api.post(
        "/api/v1/signals", content=b" " * 200_000, headers={"Content-Type": "application/json"}
    )
    assert_problem(answer, 413, "BODY_TOO_LARGE")


async def test_a_deeply_nested_body_is_a_problem_and_no_crash(shared_api: httpx.AsyncClient) -> None:
    answer = await shared_api.post(
        "/api/v1/signals", content=b"[" * 30_000, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_safe_correlation_id_is_taken_and_echoed(shared_api: httpx.AsyncClient) -> None:
    answer = await shared_api.get("/health/live", headers={"X-Correlation-ID": "my-request.1"})
    assert answer.headers["x-correlation-id"] == "my-request.1"


@pytest.mark.parametrize("given", ["a b", "x" * 200, '"><script>', ""])
async def test_an_unsafe_correlation_id_is_replaced(shared_api: httpx.AsyncClient, given: str) -> None:
    answer = await shared_api.get("/health/live", headers={"X-Correlation-ID": given})
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["x-correlation-id"])


async def test_the_reference_page_needs_no_token_and_nothing_from_elsewhere(shared_api: httpx.AsyncClient) -> None:
    answer = await shared_api.get("/docs", headers=NO_TOKEN)
    assert answer.status_code == 200
    assert "POST" in answer.text
    assert "/api/v1/orders/{order_id}/cancel" in answer.text
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", answer.text)
    assert "<script" not in answer.text


async def test_the_openapi_document_is_public_in_development(shared_api: httpx.AsyncClient) -> None:
    answer = await shared_api.get("/api/v1/openapi.json", headers=NO_TOKEN)
    assert answer.json()["openapi"].startswith("3.")
    assert (await shared_api.get("/openapi.json", headers=NO_TOKEN)).json() == answer.json()


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/orders?broker=nowhere",
        "/api/v1/signals?broker=zerodha",
        "/api/v1/positions?broker=nowhere",
        "/api/v1/fills?broker=nowhere",
        "/api/v1/portfolios?broker=nowhere",
        "/api/v1/pnl?broker=nowhere",
        "/api/v1/brokers?broker=nowhere",
        "/api/v1/brokers/zerodha",
        "/api/v1/brokers/zerodha/login",
        "/api/v1/orders/zerodha:x",
    ],
)
async def test_an_inactive_broker_is_404_everywhere(shared_api: httpx.AsyncClient, path: str) -> None:
    assert_problem(await shared_api.get(path), 404, "BROKER_UNKNOWN")


@pytest.mark.parametrize(
    "path", ["/api/v1/orders/none", "/api/v1/orders/paper:none", "/api/v1/orders/paper:none/events"]
)
async def test_an_unknown_order_is_404(shared_api: httpx.AsyncClient, path: str) -> None:
    assert_problem(await shared_api.get(path), 404, "ORDER_UNKNOWN")


@pytest.mark.parametrize("command", ["cancel", "approve", "deny", "retry"])
async def test_a_command_on_an_unknown_order_is_404(shared_api: httpx.AsyncClient, command: str) -> None:
    assert_problem(await shared_api.post(f"/api/v1/orders/paper:none/{command}"), 404, "ORDER_UNKNOWN")


@pytest.mark.parametrize("name", ["none", "bad%20name", "%00"])
async def test_an_unknown_signal_is_404(shared_api: httpx.AsyncClient, name: str) -> None:
    assert_problem(await shared_api.get(f"/api/v1/signals/{name}"), 404, "SIGNAL_UNKNOWN")


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "state=NOPE", "strategy_id=%00", "tradingsymbol=%00", "cursor=%00"]
)
async def test_a_bad_filter_is_a_422_problem_that_names_it(shared_api: httpx.AsyncClient, query: str) -> None:
    answer = await shared_api.get(f"/api/v1/orders?{query}")
    document = assert_problem(answer, 422, "CURSOR_INVALID" if query.startswith("cursor") else "INPUT_INVALID")
    assert query.partition("=")[0] in str(document["detail"])


async def test_a_nul_in_an_instrument_query_is_422(shared_api: httpx.AsyncClient) -> None:
    assert_problem(await shared_api.get("/api/v1/instruments?query=%00"), 422, "INPUT_INVALID")


async def test_an_unexpected_error_is_a_500_problem_that_tells_nothing_of_the_inside(tmp_path: Path) -> None:
    app = create_app(Settings.load(_env_file=None, data_dir=tmp_path, api={"admin_token": TOKEN}))

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("secret inside")

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test", headers=HEADERS) as client:
        answer = await client.get("/broken")
    assert_problem(answer, 500, "INTERNAL_ERROR")
    assert "secret" not in answer.text
