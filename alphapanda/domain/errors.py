"""The base of every error a person may see: what happened, a stable code, and what to do next."""

from typing import ClassVar


class AlphaPandaError(Exception):
    """An expected failure. `code` is stable (clients match on it); `next_action` tells a person what to do.

    Raised where the cause is known; turned into an HTTP status or an exit code at the outermost edge only.
    """

    code: ClassVar[str] = "INTERNAL_ERROR"
    default_next_action: ClassVar[str] = "Look at the log under the correlation id and report it."

    def __init__(self, message: str, *, next_action: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.next_action = next_action or self.default_next_action

    def __str__(self) -> str:
        return self.message


class InvalidValueError(AlphaPandaError, ValueError):
    """A value breaks a rule of its type; the message names the field, the rule and the value."""

    code = "INPUT_INVALID"
    default_next_action = "Correct the named field and send it again."
