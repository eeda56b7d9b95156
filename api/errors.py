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


class NoDump(AlphaPandaError):  # noqa: N818
    """The broker publishes no instruments."""

    code = "INSTRUMENT_DUMP_NONE"
    default_next_action = "Load a file: `alphapanda instruments load FILE.csv.gz`."


class LoginUnclear(AlphaPandaError):  # noqa: N818
    """The broker's answer to a login was lost: the session may have been made, but its token did not reach us."""

    code = "BROKER_LOGIN_UNCLEAR"
    default_next_action = "Log in again (GET /api/v1/brokers/{broker}/login): a request token works once."


class LoginUntold(AlphaPandaError):  # noqa: N818
    """The session was made and kept; who waits for it learns of it later."""

    code = "BROKER_LOGIN_UNTOLD"
    default_next_action = "Do not log in again: the broker's worker finds the session and wakes the waiting orders."


class LoginNotBegunHere(AlphaPandaError):  # noqa: N818
    """The state of a callback is none of ours, was used before, or is too old."""

    code = "BROKER_LOGIN_STATE_INVALID"
    default_next_action = (
        "Begin anew: `alphapanda login --broker {broker}` gives a fresh address, good for ten minutes."
    )


class LoginNotCompleted(AlphaPandaError):  # noqa: N818
    """The broker sent the browser back without a login."""

    code = "BROKER_LOGIN_NOT_COMPLETED"
    default_next_action = (
        "Begin anew: `alphapanda login --broker {broker}` gives a fresh address, good for ten minutes."
    )


class LoginUnsupported(AlphaPandaError):  # noqa: N818
    """The broker has no login page."""

    code = "BROKER_LOGIN_UNSUPPORTED"
    default_next_action = "POST a request_token to /api/v1/brokers/{broker}/session."


class PostbackRefused(AlphaPandaError):  # noqa: N818
    """The checksum is not the broker's."""

    code = "POSTBACK_CHECKSUM_WRONG"
    default_next_action = "Check that ALPHAPANDA_ZERODHA__API_SECRET is of the app whose postback URL leads here."
