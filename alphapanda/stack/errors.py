"""Why the embedded servers did not start, in words a person can act on."""

from alphapanda.domain.errors import AlphaPandaError


class StackStartError(AlphaPandaError):
    """A part of the embedded stack cannot run.

    `component` is `data_dir`, `postgres`, `valkey` or `temporal`; `reason` is one sentence; `log_tail` is what the
    server itself said last (empty when it was never started).
    """

    code = "STACK_START_FAILED"
    default_next_action = "Read the server's last words above, and the whole log in <data dir>/logs."

    def __init__(self, component: str, reason: str, *, next_action: str | None = None, log_tail: str = "") -> None:
        super().__init__(f"{component}: {reason}", next_action=next_action)
        self.component = component
        self.reason = reason
        self.log_tail = log_tail

    def __str__(self) -> str:
        if not self.log_tail:
            return self.message
        indented = "\n".join(f"    {line}" for line in self.log_tail.splitlines())
        return f"{self.message}\n{indented}"
