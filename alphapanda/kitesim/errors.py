"""What the simulated broker refuses, in Kite's words."""

from alphapanda.domain.errors import AlphaPandaError


class KiteError(AlphaPandaError):
    """An error reply: `status` is HTTP's, `error_type` the name that Kite's clients turn into an exception."""

    code = "KITE_SIM_REFUSED"

    def __init__(self, error_type: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.status = status


def bad_input(message: str) -> KiteError:
    return KiteError("InputException", message)


def bad_order(message: str) -> KiteError:
    return KiteError("OrderException", message)


def dead_token() -> KiteError:
    return KiteError("TokenException", "Incorrect `api_key` or `access_token`.", 403)
