"""Strategies: pure classes that turn ticks and bars into intents; the feed's runner turns intents into signals."""
