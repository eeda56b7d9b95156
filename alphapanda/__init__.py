"""alphapanda: a crash-proof order desk for algorithmic traders on Zerodha."""

__version__ = "0.1.0"
