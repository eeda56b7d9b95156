"""Alembic migrations of the ledger and of the paper exchange's tables beside it."""
