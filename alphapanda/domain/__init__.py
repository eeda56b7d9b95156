"""The pure domain: no I/O, no clock, no randomness; time and ids come in through arguments."""
