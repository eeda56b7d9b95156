"""The feed: sources of ticks, bars built from them, and the runner that shows ticks to strategies."""
