"""The errors that arise at the API's own edge."""

from alphapanda.domain.errors import AlphaPandaError


class BrokerUnknown(AlphaPandaError):  # noqa: N818 - these are named for the condition
    """The named broker is not active here."""

    code = "BROKER_UNKNOWN"
    default_next_action = "Name one of GET /api/v1/brokers, or add it to ALPHAPANDA_ACTIVE_BROKERS and restart."


class SignalUnknown(AlphaPandaError):  # noqa: N818
    code = "SIGNAL_UNKNOWN"
    default_next_action = "Look it up in GET /api/v1/signals."


class OrderNotFound(AlphaPandaError):  # noqa: N818
    code = "ORDER_UNKNOWN"
    default_next_action = "Look it up in GET /api/v1/orders; an order_id is 'broker:signal_id'."


class CursorInvalid(AlphaPandaError):  # noqa: N818
    code = "CURSOR_INVALID"
    default_next_action = "Send next_cursor as the previous page gave it, or leave it out to start over."


class LoginRefused(AlphaPandaError):  # noqa: N818
    """The broker did not accept the request token."""

    code = "BROKER_LOGIN_REFUSED"
    default_next_action = "Log in again (GET /api/v1/brokers/{broker}/login) and send the new request token at once."


class NotRehearsable(AlphaPandaError):  # noqa: N818
    """Faults can be rehearsed on paper only."""

    code = "REHEARSAL_PAPER_ONLY"
    default_next_action = "Use the paper broker."


class LoginUnsupported(AlphaPandaError):  # noqa: N818
    """No adapter here can log in to the broker."""

    code = "BROKER_LOGIN_UNSUPPORTED"
    default_next_action = "Use a broker that can be logged in to from here."
