"""Numbers as Zerodha gives them: 19-digit order ids which carry their time, and an exchange's own numbers."""

from datetime import datetime

_EPOCH_MS = 1_288_834_974_657
_SEQUENCE_BITS = 22


class Numbers:
    """Ever growing; `last` restores the point reached before a restart."""

    def __init__(self, last: int = 0, count: int = 0) -> None:
        self.last = last
        self.count = count

    def order_id(self, now: datetime) -> str:
        """Beyond 2**53, as Zerodha's are: a client that parses them as floats loses digits."""
        by_time = (int(now.timestamp() * 1000) - _EPOCH_MS) << _SEQUENCE_BITS
        self.last = max(self.last + 1, by_time)
        return str(self.last)

    def exchange_order_id(self) -> str:
        return str(1_300_000_000_000_000 + self._next())

    def trade_id(self) -> str:
        return str(10_000_000 + self._next())

    def guid(self) -> str:
        return f"{self._next():05d}Xsim"

    def job_id(self) -> int:
        return self._next()

    def _next(self) -> int:
        self.count += 1
        return self.count
