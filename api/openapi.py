"""The OpenAPI document: FastAPI's, with the models' examples at every body and answer."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.problems import MEDIA_TYPE

TAGS = [
    {"name": "signals", "description": "What strategies and people want traded."},
    {"name": "orders", "description": "One durable workflow per signal and broker: its state, story and commands."},
    {"name": "portfolios", "description": "Positions, fills and profit, per broker and never mixed."},
    {"name": "brokers", "description": "Session, trading switch, rehearsals."},
    {"name": "instruments", "description": "What can be traded."},
    {"name": "strategies", "description": "What can be run."},
    {"name": "health", "description": "Probes; they need no token."},
]


def document(app: FastAPI) -> dict[str, Any]:
    """Made once, then kept on the app."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, tags=TAGS
        )
        for operation in operations(made):
            _tidy(operation)
            for content in _contents(operation):
                content.pop("application/json", None) if MEDIA_TYPE in content else None
                for media in content.values():
                    _add_example(media, made["components"]["schemas"])
        for unused in ("HTTPValidationError", "ValidationError"):
            made["components"]["schemas"].pop(unused, None)
        app.openapi_schema = made
    return app.openapi_schema


def operations(made: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for path in made["paths"].values() for operation in path.values()]


def _tidy(operation: dict[str, Any]) -> None:
    """Drop the 422 that FastAPI adds wherever there is a path parameter (ours name what exists: 404); sort the rest."""
    answers = operation["responses"]
    if "HTTPValidationError" in str(answers.get("422", {}).get("content")):
        del answers["422"]
    for answer in answers.values():
        if answer["description"] == "Successful Response":
            answer["description"] = operation["summary"] + "."
    operation["responses"] = dict(sorted(answers.items()))


def _contents(operation: dict[str, Any]) -> list[dict[str, Any]]:
    answers = [answer.get("content", {}) for answer in operation["responses"].values()]
    return [operation.get("requestBody", {}).get("content", {}), *answers]


def _add_example(media: dict[str, Any], schemas: dict[str, Any]) -> None:
    if "example" in media or "examples" in media:
        return
    example = _example_of(media.get("schema", {}), schemas)
    if example is not None:
        media["example"] = example


def _example_of(schema: dict[str, Any], schemas: dict[str, Any]) -> Any:
    """A model's own example; of a list, a page with one item; of an optional body, that of the body."""
    if "$ref" in schema:
        return _example_of(schemas[schema["$ref"].rsplit("/", 1)[-1]], schemas)
    if schema.get("examples"):
        return schema["examples"][0]
    for option in schema.get("anyOf", []):
        if option.get("type") != "null":
            return _example_of(option, schemas)
    if "items" in schema.get("properties", {}):
        return {"items": [_example_of(schema["properties"]["items"]["items"], schemas)], "next_cursor": None}
    return None
