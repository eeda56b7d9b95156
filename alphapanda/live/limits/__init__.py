"""Call limits of a broker account, kept by all processes together through Redis.

Own rules in one Lua script rather than a library of buckets: three exact rolling windows at once, a reserve for
cancels and exits and the broker's own penalties are one decision, and that decision is what the account lives by.
"""

from alphapanda.live.limits.account import AccountLimits
from alphapanda.live.limits.rules import CallKind

__all__ = ["AccountLimits", "CallKind"]
