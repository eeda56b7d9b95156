"""Benchmarks: what the desk costs over what Temporal itself costs, as ratios measured in one run."""
