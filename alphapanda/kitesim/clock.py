"""Kite's times: naive strings of the Indian wall clock."""

from datetime import datetime

from alphapanda.domain.calendar import IST


def wall_clock(when: datetime) -> str:
    """`2026-11-22 14:05:09`."""
    return f"{when.astimezone(IST):%Y-%m-%d %H:%M:%S}"


def time_only(when: datetime) -> str:
    """`14:05:09`: all that the trade book says of when the order was placed."""
    return f"{when.astimezone(IST):%H:%M:%S}"
