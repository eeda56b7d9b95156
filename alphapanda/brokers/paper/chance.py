"""Seeded chance: a draw depends on the seed and the order alone, so a rerun and a restart draw the same."""

import hashlib
from decimal import Decimal


def draw(seed: int, kind: str, key: str) -> float:
    """A number in [0, 1) for this kind of event and this order."""
    digest = hashlib.blake2b(f"{seed}\x1f{kind}\x1f{key}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53  # 53 bits: the most a float holds without rounding up to 1.0


def happens(rate: Decimal, seed: int, kind: str, key: str) -> bool:
    """Whether an event of this rate (0 to 1) befalls this order."""
    return rate > 0 and draw(seed, kind, key) < rate


def latency_s(latency_ms: int, seed: int, key: str) -> float:
    """Seconds a request takes to reach the exchange: uniform from half to one and a half times the setting."""
    return latency_ms / 1000 * (0.5 + draw(seed, "latency", key)) if latency_ms else 0.0
