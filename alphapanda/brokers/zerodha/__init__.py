"""Zerodha through Kite Connect: kiteconnect's own client, with what it loses got back from below it."""
