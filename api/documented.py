"""Documented errors: which problems a route can answer with, each with an example, for OpenAPI."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from api.problems import MEDIA_TYPE, Problem

Responses = dict[int | str, dict[str, Any]]


@dataclass(frozen=True)
class _Case:
    status: int
    detail: str
    next_action: str


_MEANINGS = {
    401: "No token, or not a valid one.",
    403: "It does not prove where it comes from.",
    404: "Unknown, or at a broker that is not active.",
    409: "It conflicts with the present state.",
    422: "The input breaks a rule; `errors` names each field.",
    500: "An unexpected error.",
    503: "A dependency is down; `code` names it.",
}

_CASES: dict[str, _Case] = {
    "UNAUTHENTICATED": _Case(401, "A bearer token is required.", "Send 'Authorization: Bearer <token>'."),
    "POSTBACK_CHECKSUM_WRONG": _Case(
        403,
        "the postback's checksum is not Zerodha's",
        "Check that ALPHAPANDA_ZERODHA__API_SECRET is of the app whose postback URL leads here.",
    ),
    "ORDER_UNKNOWN": _Case(404, "no order 'paper:none' is known", "Look it up in GET /api/v1/orders."),
    "SIGNAL_UNKNOWN": _Case(404, "no signal 'none' is known", "Look it up in GET /api/v1/signals."),
    "BROKER_UNKNOWN": _Case(404, "broker: 'nowhere' is not active here", "Name one of GET /api/v1/brokers."),
    "ORDER_NOT_IN_STATE": _Case(409, "the order is OPEN, not PARKED", "Look at the order's state."),
    "SIGNAL_ID_CONFLICT": _Case(
        409,
        "signal_id: 'manual-20260105-001' was sent before with different content",
        "Send a new signal_id, or the original content.",
    ),
    "REHEARSAL_PAPER_ONLY": _Case(409, "'zerodha' is a real broker", "Use the paper broker."),
    "INSTRUMENT_DUMP_REFUSED": _Case(
        409,
        "the dump is refused: it has shrunk: 900 instruments of NSE, where 8490 are loaded",
        "What was loaded before stays in use. Fetch the dump again; if it is right, and older or smaller for a reason, "
        "load it with --anyway.",
    ),
    "BROKER_LOGIN_UNDER_WAY": _Case(
        409,
        "another login to 'zerodha' is under way",
        "Wait for it to end, look at GET /api/v1/brokers/zerodha, and log in if it is still needed.",
    ),
    "BROKER_LOGIN_REFUSED": _Case(
        422,
        "Token is invalid or has expired.",
        "Log in again (GET /api/v1/brokers/zerodha/login) and send the new request token at once.",
    ),
    "INPUT_INVALID": _Case(
        422, "quantity: Input should be greater than or equal to 1", "Correct the named field and send it again."
    ),
    "INTERNAL_ERROR": _Case(
        500,
        "An unexpected error; it is in the log under the correlation id.",
        "Look at the log under the correlation id and report it.",
    ),
    "LEDGER_UNAVAILABLE": _Case(
        503,
        "the ledger cannot be reached: ConnectionRefusedError",
        "Start Postgres (or `alphapanda up`), or correct ALPHAPANDA_DATABASE__URL.",
    ),
    "TEMPORAL_UNAVAILABLE": _Case(
        503,
        "Temporal did not take the command: UNAVAILABLE",
        "Start Temporal and a worker (or `alphapanda up`), or correct ALPHAPANDA_TEMPORAL__ADDRESS.",
    ),
}


def problems(*codes: str) -> Responses:
    """OpenAPI responses with an example of each code, besides the two that every guarded route can give."""
    return public_problems("UNAUTHENTICATED", *codes)


def public_problems(*codes: str) -> Responses:
    """The same of a route that needs no token."""
    return {_CASES[code].status: _response(code) for code in (*codes, "INTERNAL_ERROR")}


def _response(code: str) -> dict[str, Any]:
    case = _CASES[code]
    example: dict[str, Any] = {
        "type": f"urn:alphapanda:problem:{code.lower().replace('_', '-')}",
        "title": HTTPStatus(case.status).phrase,
        "status": case.status,
        "detail": case.detail,
        "code": code,
        "next_action": case.next_action,
        "correlation_id": "5f0c6c0b0a4c4f3f9d2f1c7f6f2f9a11",
    }
    if case.status == HTTPStatus.UNPROCESSABLE_ENTITY:
        field, _, message = case.detail.partition(": ")
        example["errors"] = [{"field": field, "message": message}]
    return {
        "description": _MEANINGS[case.status],
        "model": Problem,
        "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": example}},
    }
