"""Log context: every line an activity writes carries the broker, order, signal and correlation of its input."""

from typing import Any

import structlog
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor


class LogContext(Interceptor):
    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        return _Bound(next)


class _Bound(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        with structlog.contextvars.bound_contextvars(**_facts(input.args[0] if input.args else None)):
            return await self.next.execute_activity(input)


def _facts(message: Any) -> dict[str, str]:
    inner = getattr(message, "request", message)
    facts = {name: getattr(inner, name, None) or getattr(message, name, None) for name in _NAMES}
    if facts["order_id"] and not facts["signal_id"]:
        facts["signal_id"] = facts["order_id"].partition(":")[2]
    return {name: str(value) for name, value in facts.items() if value is not None}


_NAMES = ("broker", "order_id", "signal_id", "correlation_id")
