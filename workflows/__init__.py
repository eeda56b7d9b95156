"""Workflows: the order's life and the broker's, and the client side that starts and commands them."""
