"""The OpenAPI document is complete: every operation explains itself, with an example wherever there is a body."""

from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import TypeAdapter

from alphapanda.settings import Settings
from api.app import create_app
from api.docs import render
from api.openapi import operations
from api.problems import Problem
from api.schemas import brokers, health, instruments, orders, portfolios, signals, strategies

MODELS = [
    model
    for module in (brokers, health, instruments, orders, portfolios, signals, strategies)
    for model in vars(module).values()
    if isinstance(model, type)
    and model.__module__ == module.__name__
    and "json_schema_extra" in getattr(model, "model_config", {})
]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    return create_app(Settings.load(_env_file=None, data_dir=tmp_path_factory.mktemp("data")))


@pytest.fixture(scope="module")
def document(app: FastAPI) -> dict[str, Any]:
    return app.openapi()


def test_every_operation_says_what_it_does(document: dict[str, Any]) -> None:
    known = {tag["name"] for tag in document["tags"]}
    for operation in operations(document):
        assert operation["summary"], operation["operationId"]
        assert operation["description"], operation["operationId"]
        assert set(operation["tags"]) <= known
        assert operation["tags"]


def test_every_body_and_answer_has_an_example(document: dict[str, Any]) -> None:
    for operation in operations(document):
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for body in bodies:
            for media in body.get("content", {}).values():
                assert media.get("example") is not None, operation["operationId"]


def test_every_answer_is_described(document: dict[str, Any]) -> None:
    for operation in operations(document):
        for answer in operation["responses"].values():
            assert answer["description"] != "Successful Response"


def test_errors_are_problem_documents(document: dict[str, Any]) -> None:
    for operation in operations(document):
        for status, answer in operation["responses"].items():
            if int(status) >= 400 and "health" not in operation["tags"]:
                assert list(answer["content"]) == ["application/problem+json"], operation["operationId"]
                Problem.model_validate(answer["content"]["application/problem+json"]["example"])


def test_everything_but_health_and_what_comes_from_outside_needs_the_token(document: dict[str, Any]) -> None:
    for operation in operations(document):
        guarded = operation.get("security") == [{"bearer": []}]
        public = "health" in operation["tags"] or operation["operationId"] in ("login_callback", "postback")
        assert guarded == (not public), operation["operationId"]
        assert ("401" in operation["responses"]) == guarded


def test_operation_ids_are_short_and_unique(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for operation in operations(document)]
    assert len(ids) == len(set(ids))
    assert all("api_v1" not in each for each in ids)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_example_is_one(model: Any) -> None:
    for example in model.model_config["json_schema_extra"]["examples"]:
        TypeAdapter(model).validate_python(example)
        declared = set(model.model_fields)
        assert set(example) <= declared
        if model.__name__.endswith("Out"):
            assert set(example) == declared


def test_the_page_shows_every_operation_and_escapes_what_it_shows(document: dict[str, Any]) -> None:
    page = render(document)
    for operation in operations(document):
        assert f'id="{operation["operationId"]}"' in page
    assert "Authorization: Bearer &lt;token&gt;" in page
    assert "<token>" not in page
