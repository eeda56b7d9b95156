"""RFC 9457 problem documents: every error leaves the API through here, with one status by one table."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alphapanda.brokers.paper.rehearsal import PaperAccountUnknown
from alphapanda.brokers.protocol import (
    AmbiguousOutcome,
    BrokerError,
    BrokerUnavailable,
    NotAuthenticated,
    NotPermitted,
    RateLimited,
)
from alphapanda.domain.errors import AlphaPandaError, InvalidValueError
from alphapanda.domain.states import IllegalTransitionError
from alphapanda.endpoints import StackNotRunning
from alphapanda.instruments.acceptance import DumpRefused
from alphapanda.instruments.dump import DumpUnreadable
from alphapanda.ledger.engine import LedgerUnavailable
from alphapanda.ledger.migrate import LedgerNotMigrated
from alphapanda.live.quotes import LiveUnavailable
from alphapanda.sessions.turns import LoginUnderWay
from alphapanda.settings import SettingsError
from api import errors
from api.correlation import correlation_id_of
from workflows.desk import CommandRefused, OrderUnknown, SignalConflict
from workflows.runtime import WorkflowsUnavailable

MEDIA_TYPE = "application/problem+json"

# The nearest class of an error's own line of ancestors decides; AlphaPandaError itself is a bug of ours: 500.
STATUS: dict[type[AlphaPandaError], HTTPStatus] = {
    errors.BrokerUnknown: HTTPStatus.NOT_FOUND,
    errors.SignalUnknown: HTTPStatus.NOT_FOUND,
    errors.OrderNotFound: HTTPStatus.NOT_FOUND,
    OrderUnknown: HTTPStatus.NOT_FOUND,
    errors.NotRehearsable: HTTPStatus.CONFLICT,
    PaperAccountUnknown: HTTPStatus.CONFLICT,
    errors.LoginUnsupported: HTTPStatus.CONFLICT,
    errors.LoginNotBegunHere: HTTPStatus.FORBIDDEN,
    errors.PostbackRefused: HTTPStatus.FORBIDDEN,
    errors.LoginNotCompleted: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.LoginUnclear: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.LoginUntold: HTTPStatus.SERVICE_UNAVAILABLE,
    LoginUnderWay: HTTPStatus.CONFLICT,
    SignalConflict: HTTPStatus.CONFLICT,
    CommandRefused: HTTPStatus.CONFLICT,
    IllegalTransitionError: HTTPStatus.CONFLICT,
    errors.NoDump: HTTPStatus.CONFLICT,
    DumpRefused: HTTPStatus.CONFLICT,
    DumpUnreadable: HTTPStatus.CONFLICT,
    BrokerError: HTTPStatus.CONFLICT,
    NotAuthenticated: HTTPStatus.CONFLICT,
    NotPermitted: HTTPStatus.CONFLICT,
    errors.CursorInvalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.LoginRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
    InvalidValueError: HTTPStatus.UNPROCESSABLE_ENTITY,
    RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    BrokerUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    AmbiguousOutcome: HTTPStatus.SERVICE_UNAVAILABLE,
    LedgerNotMigrated: HTTPStatus.SERVICE_UNAVAILABLE,
    LedgerUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    LiveUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    WorkflowsUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    StackNotRunning: HTTPStatus.SERVICE_UNAVAILABLE,
    SettingsError: HTTPStatus.SERVICE_UNAVAILABLE,
    AlphaPandaError: HTTPStatus.INTERNAL_SERVER_ERROR,
}

_log = structlog.get_logger("alphapanda.api")


class FieldError(BaseModel):
    field: str = Field(description="Dotted path of the field; empty where the rule spans several.")
    message: str


class Problem(BaseModel):
    """An error, as RFC 9457 has it, with a stable `code` to match on and what to do next."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:alphapanda:problem:order-unknown",
                    "title": "Not Found",
                    "status": 404,
                    "detail": "no order 'paper:none' is known",
                    "code": "ORDER_UNKNOWN",
                    "next_action": "Look it up in GET /api/v1/orders; an order_id is 'broker:signal_id'.",
                    "correlation_id": "5f0c6c0b0a4c4f3f9d2f1c7f6f2f9a11",
                }
            ]
        }
    )

    type: str = Field(description="A URN that names the kind of problem.")
    title: str = Field(description="The HTTP status in words.")
    status: int
    detail: str = Field(description="What happened this time.")
    code: str = Field(description="Stable; match on this.")
    next_action: str = Field(description="What a person can do about it.")
    correlation_id: str = Field(description="The request's id: the same in logs, workflows and the ledger.")
    errors: list[FieldError] | None = Field(default=None, description="Each broken rule of the input; 422 only.")


def status_of(error: AlphaPandaError) -> HTTPStatus:
    return next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)


def problem(
    status: int,
    code: str,
    detail: str,
    next_action: str,
    correlation_id: str,
    *,
    fields: Sequence[FieldError] | None = None,
    headers: dict[str, str] | None = None,
) -> Response:
    document = Problem(
        type=f"urn:alphapanda:problem:{code.lower().replace('_', '-')}",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        code=code,
        next_action=next_action,
        correlation_id=correlation_id,
        errors=list(fields) if fields is not None else None,
    )
    return Response(
        document.model_dump_json(exclude_none=True), status_code=status, media_type=MEDIA_TYPE, headers=headers
    )


def add_problem_handlers(app: FastAPI) -> None:
    app.add_exception_handler(AlphaPandaError, _expected)
    app.add_exception_handler(RequestValidationError, _bad_input)
    app.add_exception_handler(HTTPException, _plain)


async def _expected(request: Request, error: Exception) -> Response:
    assert isinstance(error, AlphaPandaError)  # noqa: S101 - what it is registered for
    status = status_of(error)
    code = error.refusal_code if isinstance(error, CommandRefused) else error.code
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.warning("http_problem", code=code, status=int(status), detail=error.message)
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        return internal_error(request.scope)
    headers = {"Retry-After": str(max(1, round(error.retry_after_s)))} if isinstance(error, RateLimited) else None
    return problem(status, code, error.message, error.next_action, correlation_id_of(request.scope), headers=headers)


async def _bad_input(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    fields = [_field_error(item) for item in error.errors()]
    detail = "; ".join(f"{item.field}: {item.message}" if item.field else item.message for item in fields[:5])
    return problem(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        InvalidValueError.code,
        detail,
        InvalidValueError.default_next_action,
        correlation_id_of(request.scope),
        fields=fields,
    )


def _field_error(item: dict[str, Any]) -> FieldError:
    """The field without `body`/`query`; rules over several fields name theirs in the message, `field: rule`."""
    if item["type"] == "json_invalid":
        return FieldError(field="", message=f"the body is not JSON: {item['ctx']['error']} at {item['loc'][-1]}")
    message = str(item["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    field = ".".join(str(part) for part in item["loc"][1:])
    named, colon, rule = message.partition(": ")
    if colon and named.isidentifier() and field in ("", named):
        return FieldError(field=named, message=rule)
    return FieldError(field=field, message=message if field or len(item["loc"]) < 1 else f"the body: {message}")


_PLAIN = {
    HTTPStatus.NOT_FOUND: ("NOT_FOUND", "There is nothing at this path.", "See /docs for what there is."),
    HTTPStatus.METHOD_NOT_ALLOWED: (
        "METHOD_NOT_ALLOWED",
        "This path does not take this method.",
        "See the Allow header and /docs.",
    ),
    HTTPStatus.BAD_REQUEST: ("BODY_UNREADABLE", "The body cannot be read.", "Send JSON in UTF-8."),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("BODY_TOO_LARGE", "The body is too large.", "Send less than 64 KiB."),
}


async def _plain(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    fallback = (HTTPStatus(error.status_code).name, str(error.detail), "See /docs.")
    code, detail, next_action = _PLAIN.get(HTTPStatus(error.status_code), fallback)
    return problem(
        error.status_code,
        code,
        detail,
        next_action,
        correlation_id_of(request.scope),
        headers=dict(error.headers) if error.headers else None,
    )


def internal_error(scope: Scope) -> Response:
    """500 without a word about what happened inside: the log has it, under the correlation id."""
    return problem(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        AlphaPandaError.code,
        "An unexpected error; it is in the log under the correlation id.",
        AlphaPandaError.default_next_action,
        correlation_id_of(scope),
    )


class UnexpectedErrorMiddleware:
    """Turns what nobody expected into a 500 problem, inside the correlation id's reach."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def watching(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watching)
        except Exception:
            _log.exception("http_unexpected_error", path=scope["path"])
            if started:  # half an answer is out: only breaking the connection tells the client
                raise
            await internal_error(scope)(scope, receive, send)
