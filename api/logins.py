"""Logging in to a broker on a person's behalf: a request token in, a session out, one login at a time."""

from datetime import UTC, datetime

from activities.messages import BrokerStatus, SessionCommand
from alphapanda.brokers.factory import build_broker
from alphapanda.brokers.protocol import AmbiguousOutcome, BrokerUnavailable, NotAuthenticated
from alphapanda.domain.execution import SessionReport
from alphapanda.domain.ids import Broker
from alphapanda.live.quotes import LiveUnavailable
from alphapanda.redaction import hide
from alphapanda.sessions.nonces import issue_nonce
from alphapanda.sessions.turns import login_turn
from api.errors import LoginRefused, LoginUnclear, LoginUntold
from api.schemas.brokers import LoginOut
from api.services import Services
from workflows.desk import OrderDesk
from workflows.runtime import WorkflowsUnavailable

PAPER = Broker("paper")
ZERODHA = Broker("zerodha")


async def login_page(services: Services, broker: Broker) -> LoginOut:
    """Where a person logs in, with a fresh state nonce. Raises SettingsError, LedgerUnavailable."""
    if broker == PAPER:
        return LoginOut(
            broker=broker,
            login_url=None,
            instructions="The paper broker has no login page: POST any request_token to "
            f"/api/v1/brokers/{broker}/session ('refuse' is refused, to rehearse a failed login).",
        )
    from alphapanda.brokers.zerodha.login import login_url  # noqa: PLC0415 - the paper broker needs none of it

    zerodha = services.settings.zerodha
    login_url(zerodha, state="")  # what is not set up must not cost a nonce
    nonce = await issue_nonce(services.ledger, broker, now=datetime.now(UTC))
    return LoginOut(
        broker=broker,
        login_url=login_url(zerodha, state=nonce),
        instructions="Open login_url in a browser within ten minutes and log in. The browser then comes back to the "
        f"redirect URL of your Kite Connect app, which should be this API's /api/v1/brokers/{broker}/callback as that "
        "browser reaches it; it ends the login by itself. Where the browser cannot reach it, copy request_token from "
        f"the address it was sent to and, within minutes, POST it to /api/v1/brokers/{broker}/session or run "
        f"`alphapanda login --broker {broker} --request-token …`.",
    )


async def log_in(services: Services, broker: Broker, request_token: str, *, actor: str) -> BrokerStatus:
    """Exchange the token for a session at the broker, and tell the broker's workflow, which wakes what waits for it.

    Raises LoginRefused, LoginUnclear, LoginUntold, LoginUnderWay, BrokerError, and what names a missing dependency.
    """
    desk = services.desk  # asked first: a token works once, and is not spent where nobody could be told
    async with login_turn(services.ledger, broker):
        report = await _exchange(services, broker, request_token)
        return await _tell(desk, broker, SessionCommand(actor=actor, detail=report.detail))


async def _exchange(services: Services, broker: Broker, request_token: str) -> SessionReport:
    if services.redis is None:
        raise LiveUnavailable("it is not known yet where Redis is")
    if broker != PAPER:
        hide(request_token)
    adapter = build_broker(broker, services.settings, services.ledger, services.redis, calendar=None)
    try:
        return await adapter.open_session(request_token)
    except NotAuthenticated as error:
        raise LoginRefused(error.message) from error
    except AmbiguousOutcome as error:
        raise LoginUnclear(error.message) from error
    except BrokerUnavailable as error:
        raise BrokerUnavailable(error.message, next_action="Log in again once the broker answers.") from error
    finally:
        await adapter.close()


async def _tell(desk: OrderDesk, broker: Broker, command: SessionCommand) -> BrokerStatus:
    try:
        return await desk.session_opened(broker, command)
    except WorkflowsUnavailable as error:
        raise LoginUntold(f"logged in to {broker!r}, but its workflow does not know yet: {error.message}") from error
