"""Brokers behind one protocol: `paper` is a small exchange of our own, `zerodha` speaks Kite Connect."""
