"""Rehearsing a bad day: a scripted storm on a whole desk whose Zerodha is the simulator, and the verdict on it."""
