"""Reconciliation: the ledger beside the broker. What is proved is repaired, what is not is reported as drift.

`reconcile` compares, purely; `read_broker` reads one side of it; the scenarios are tabulated in docs/reconciliation.md.
"""
