"""What reaches us from outside without a bearer token: the browser after a login, and Zerodha's postbacks.

Each proves itself by something of its own: the browser by the state nonce of a login that was begun here, a postback
by its checksum. The paths are public one by one, and only for brokers that are active (`public_paths`).
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from alphapanda.domain.errors import AlphaPandaError, InvalidValueError
from alphapanda.domain.ids import TAG_LENGTH, Broker
from alphapanda.ledger.nudged import workflows_of
from alphapanda.live.postbacks import first_copy
from alphapanda.redaction import redact_text
from alphapanda.sessions.nonces import use_nonce
from api.correlation import correlation_id_of
from api.dependencies import BrokerDep, ServicesDep, active_broker
from api.documented import public_problems
from api.errors import LoginNotBegunHere, LoginNotCompleted, LoginUnsupported, LoginUntold, PostbackRefused
from api.logins import PAPER, ZERODHA, log_in
from api.pages import outcome_page
from api.problems import status_of
from api.schemas.brokers import PostbackOut, SessionIn
from api.services import Services

router = APIRouter(prefix="/brokers", tags=["brokers"])

BROWSER = "browser login"
"""The actor of a login that came back through a browser: whoever was given its address."""

_log = structlog.get_logger("alphapanda.api")

Given = Annotated[str, Query(description="As the broker's redirect has it.")]


def public_paths(prefix: str, brokers: Iterable[Broker]) -> set[str]:
    """The exact paths of this router for the active brokers."""
    paths = {f"{prefix}/brokers/{broker}/callback" for broker in brokers if broker != PAPER}
    return paths | {f"{prefix}/brokers/{broker}/postback" for broker in brokers if broker == ZERODHA}


@router.get(
    "/{broker}/callback",
    summary="End a login in the browser",
    response_class=HTMLResponse,
    responses={200: {"content": {"text/html": {"example": "<!doctype html>…"}}}},
)
async def login_callback(
    request: Request,
    services: ServicesDep,
    broker: BrokerDep,
    request_token: Given = "",
    status: Given = "",
    action: Given = "",
    state: Given = "",
) -> HTMLResponse:
    """The broker's login page sends the browser here with a request token and the state nonce of `login`. Answers a
    page for a person: logged in, or what went wrong (403: not begun here, used before or too old). Needs no token."""
    note = f"correlation id {correlation_id_of(request.scope)}"
    try:
        await _end_login(services, broker, request_token, status, action, state)
    except LoginUntold as error:
        return outcome_page(200, f"Logged in to {broker}", error.next_action, "You can close this page.", note=note)
    except AlphaPandaError as error:
        _log.warning("login_failed", broker=broker, code=error.code, detail=error.message)
        what, then = redact_text(error.message), error.next_action.replace("{broker}", broker)
        return outcome_page(status_of(error), f"Not logged in to {broker}", what, then, note=f"{error.code}, {note}")
    _log.info("logged_in", broker=broker, actor=BROWSER)
    return outcome_page(
        200, f"Logged in to {broker}", "Orders that waited for it go on by themselves, exits first.",
        "You can close this page.", note=note,
    )  # fmt: skip


async def _end_login(
    services: Services, broker: Broker, request_token: str, status: str, action: str, state: str
) -> None:
    if broker == PAPER:
        raise LoginUnsupported(f"{broker!r} has no login page that leads here")
    if not await use_nonce(services.ledger, broker, state, now=datetime.now(UTC)):
        raise LoginNotBegunHere("this login was not begun here, was ended before, or took longer than ten minutes")
    if status != "success" or action not in ("", "login"):
        raise LoginNotCompleted("the broker sent the browser back without a completed login")
    try:
        given = SessionIn.model_validate({"request_token": request_token})
    except ValueError:
        raise LoginNotCompleted("the broker's redirect has no usable request token") from None
    await log_in(services, broker, given.request_token.get_secret_value(), actor=BROWSER)


@router.post(
    "/zerodha/postback",
    summary="Take an order update of Zerodha",
    responses=public_problems("BROKER_UNKNOWN", "POSTBACK_CHECKSUM_WRONG", "INPUT_INVALID", "TEMPORAL_UNAVAILABLE"),
)
async def postback(request: Request, services: ServicesDep) -> PostbackOut:
    """The address for the app's postback URL. Its checksum is verified, and nothing in it is believed: the order's
    workflow is told to read the broker's book, once for all copies that come within a minute. Needs no token."""
    broker = active_broker(services.settings, ZERODHA)
    body = await request.body()
    payload = _document(body)
    if not _is_genuine(services, payload):
        raise PostbackRefused("the postback's checksum is not Zerodha's")
    async with first_copy(services.redis, broker, proof=payload["checksum"], body=body) as is_first:
        if is_first:
            await _nudge(services, broker, payload)
    return PostbackOut(received=True)


async def _nudge(services: Services, broker: Broker, payload: dict[str, Any]) -> None:
    tags = [each for each in (payload.get("tag"), *_listed(payload.get("tags"))) if _is_tag(each)]
    known = await workflows_of(services.ledger, broker, broker_order_id=payload["order_id"], tags=tags)
    for workflow_id in known:
        await services.desk.nudge(workflow_id)


def _document(body: bytes) -> dict[str, Any]:
    try:
        payload = json.loads(body)
    except (ValueError, RecursionError):
        payload = None
    if not isinstance(payload, dict):
        raise InvalidValueError("the body: must be a JSON object, as Zerodha posts it")
    return payload


def _is_genuine(services: Services, payload: dict[str, Any]) -> bool:
    from alphapanda.brokers.zerodha.login import is_genuine_postback  # noqa: PLC0415

    try:
        return is_genuine_postback(payload, services.settings.zerodha)
    except UnicodeError:  # a lone surrogate, which JSON can spell and no checksum has
        return False


def _is_tag(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= TAG_LENGTH and value.isascii() and value.isalnum()


def _listed(value: Any) -> list[Any]:
    return value[:10] if isinstance(value, list) else []
