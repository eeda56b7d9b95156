"""Asking a workflow for something, and what it means when it does not answer."""

from datetime import timedelta
from typing import Any, TypeVar

from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError, WorkflowUpdateRPCTimeoutOrCancelledError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from alphapanda.domain.errors import AlphaPandaError
from workflows.runtime import WorkflowsUnavailable

T = TypeVar("T")

UPDATE_TIMEOUT = timedelta(seconds=20)


class CommandRefused(AlphaPandaError):  # noqa: N818 - named for the condition
    """The order's workflow refused the command; `refusal_code` says why in a stable word."""

    code = "ORDER_COMMAND_REFUSED"
    default_next_action = "Look at the order's state; the command does not fit it."

    def __init__(self, message: str, *, refusal_code: str) -> None:
        super().__init__(message)
        self.refusal_code = refusal_code


class NotRunning(Exception):  # noqa: N818 - named for the condition; it never leaves the desk
    """No workflow of that id is open."""


async def update(handle: WorkflowHandle[Any, Any], name: str, command: Any, answers: type[T]) -> T:
    """Send an update and wait for its answer. Raises CommandRefused, NotRunning, WorkflowsUnavailable."""
    try:
        answer: T = await handle.execute_update(name, command, result_type=answers, rpc_timeout=UPDATE_TIMEOUT)
    except WorkflowUpdateFailedError as error:
        cause = error.cause
        code = cause.type if isinstance(cause, ApplicationError) and cause.type else "ORDER_COMMAND_REFUSED"
        said = cause.message if isinstance(cause, ApplicationError) else str(cause)
        raise CommandRefused(said, refusal_code=code) from error
    except WorkflowUpdateRPCTimeoutOrCancelledError as error:
        raise WorkflowsUnavailable("no worker answered in time; the command may still be carried out") from error
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise NotRunning from error
        raise WorkflowsUnavailable(f"Temporal did not take the command: {error.status.name}") from error
    return answer


async def leave_signal(handle: WorkflowHandle[Any, Any], name: str, *arguments: Any) -> None:
    """Leave a signal, which needs no worker now. Raises NotRunning, WorkflowsUnavailable."""
    try:
        await handle.signal(name, args=arguments)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            raise NotRunning from error
        raise WorkflowsUnavailable(f"Temporal did not take the signal: {error.status.name}") from error


async def ask(handle: WorkflowHandle[Any, Any], timeout_s: float, answers: type[T]) -> T | None:
    """The answer of the `status` query; None when there is no such workflow or no worker answers in time."""
    try:
        answer: T = await handle.query("status", result_type=answers, rpc_timeout=timedelta(seconds=timeout_s))
    except RPCError:
        return None
    return answer
