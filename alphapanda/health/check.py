"""What a check found out, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum


class CheckStatus(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """Something to know; the desk can do its work."""

    FAILED = "failed"
    """The desk cannot do its work."""


@dataclass(frozen=True)
class Check:
    """`next_action` is None exactly where all is well."""

    component: str
    status: CheckStatus
    detail: str
    next_action: str | None = None


def ok(component: str, detail: str) -> Check:
    return Check(component, CheckStatus.OK, detail)


def warning(component: str, detail: str, next_action: str) -> Check:
    return Check(component, CheckStatus.WARNING, detail, next_action)


def failed(component: str, detail: str, next_action: str) -> Check:
    return Check(component, CheckStatus.FAILED, detail, next_action)
