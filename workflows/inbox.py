"""The inbox of an OrderWorkflow: commands wait here until the order's main line takes them.

Handlers never act themselves, so a command and the order's own progress cannot interleave: there is one writer.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.messages import (
        ApproveCommand,
        CancelCommand,
        DenyCommand,
        ModifyCommand,
        OrderStatus,
        ResolveCommand,
    )

Command = CancelCommand | ModifyCommand | ApproveCommand | DenyCommand | ResolveCommand


def refusal(code: str, message: str) -> ApplicationError:
    """A command that is impossible now: the caller gets `code` and the reason, the order goes on as it was."""
    return ApplicationError(message, type=code, non_retryable=True)


@dataclass(frozen=True, slots=True)
class Request:
    """A command with the answer its handler waits for."""

    command: Command
    answer: "asyncio.Future[OrderStatus]"

    def done(self, status: OrderStatus) -> None:
        if not self.answer.done():
            self.answer.set_result(status)

    def refuse(self, code: str, message: str) -> None:
        if not self.answer.done():
            self.answer.set_exception(refusal(code, message))


class Inbox:
    def __init__(self) -> None:
        self._waiting: deque[Request] = deque()
        self._taken: list[Request] = []
        self.nudged = False
        self.session_restored = False

    @property
    def has_request(self) -> bool:
        return bool(self._waiting)

    async def ask(self, command: Command) -> OrderStatus:
        """Hand the command to the main line and wait for its answer. Raises the refusal."""
        request = Request(command, asyncio.get_running_loop().create_future())
        self._waiting.append(request)
        return await request.answer

    def post(self, command: Command) -> None:
        """Hand over a command that nobody waits for."""
        request = Request(command, asyncio.get_running_loop().create_future())
        request.answer.add_done_callback(lambda answer: answer.exception())  # a refusal is nobody's to hear
        self._waiting.append(request)

    def take(self) -> Request | None:
        if not self._waiting:
            return None
        self._taken = [*(each for each in self._taken if not each.answer.done()), self._waiting.popleft()]
        return self._taken[-1]

    def refuse_all(self, code: str, message: str) -> None:
        """Answer whoever still waits, those included whose command was taken but came to nothing."""
        while self.take() is not None:
            pass
        for request in self._taken:
            request.refuse(code, message)

    async def wait(self, timeout: timedelta | None, *, nudge: bool = False, session: bool = False) -> bool:
        """Until a command comes (or, where asked for, a nudge or a login): True; False when the time is over."""

        def awake() -> bool:
            return self.has_request or (nudge and self.nudged) or (session and self.session_restored)

        if timeout is not None and timeout <= timedelta(0):
            return awake()
        try:
            await workflow.wait_condition(awake, timeout=timeout)
        except TimeoutError:
            return False
        return True
