"""Logging in to a broker on a person's behalf: a request token in, a session out."""

from alphapanda.brokers.factory import build_broker
from alphapanda.brokers.protocol import NotAuthenticated
from alphapanda.domain.execution import SessionReport
from alphapanda.domain.ids import Broker
from alphapanda.live.quotes import LiveUnavailable
from api.errors import LoginRefused, LoginUnsupported
from api.schemas.brokers import LoginOut
from api.services import Services

PAPER = Broker("paper")


def login_page(broker: Broker) -> LoginOut:
    """Where a person logs in. Raises LoginUnsupported."""
    if broker != PAPER:
        raise LoginUnsupported(f"there is no login to {broker!r} from here")
    return LoginOut(
        broker=broker,
        login_url=None,
        instructions="The paper broker has no login page: POST any request_token to "
        f"/api/v1/brokers/{broker}/session ('refuse' is refused, to rehearse a failed login).",
    )


async def open_session(services: Services, broker: Broker, request_token: str) -> SessionReport:
    """Exchange the token for a session at the broker. Raises LoginRefused, LoginUnsupported, BrokerUnavailable."""
    if broker != PAPER:
        raise LoginUnsupported(f"there is no login to {broker!r} from here")
    if services.redis is None:
        raise LiveUnavailable("it is not known yet where Redis is")
    adapter = build_broker(broker, services.settings, services.ledger, services.redis, calendar=None)
    try:
        return await adapter.open_session(request_token)
    except NotAuthenticated as error:
        raise LoginRefused(error.message) from error
    finally:
        await adapter.close()
