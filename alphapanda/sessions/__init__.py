"""Broker sessions: access tokens sealed at rest, and logins that come back through a browser."""
