"""A bad day in minutes: the desk's patience and the simulator's delays, shortened alike.

What matters is kept: requests are held longer than the desk waits for them, books lag for less time than the desk looks
into them, and what is hidden stays so for longer.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tempo:
    """Seconds."""

    order_timeout_s: float = 2.0
    read_timeout_s: float = 3.0
    resolve_interval_s: float = 0.5
    resolve_timeout_s: float = 12.0
    poll_interval_s: float = 20.0
    late_fill_watch_s: float = 6.0

    hold_s: float = 3.5
    late_placement_s: float = 4.0
    lag_s: float = 5.0
    stuck_s: float = 8.0
    hidden_s: float = 9.0
    late_fill_s: float = 1.5

    def settings(self) -> dict[str, str]:
        """Settings of the desk, without the prefix."""
        return {
            "ZERODHA__ORDER_TIMEOUT_S": str(self.order_timeout_s),
            "ZERODHA__TIMEOUT_S": str(self.read_timeout_s),
            "ORDERS__RESOLVE_INTERVAL_S": str(self.resolve_interval_s),
            "ORDERS__RESOLVE_TIMEOUT_S": str(self.resolve_timeout_s),
            "ORDERS__POLL_INTERVAL_S": str(self.poll_interval_s),
            "ORDERS__LATE_FILL_WATCH_S": str(self.late_fill_watch_s),
        }
