"""Accounting: the ledger of a request with its calls and exact costs, and the recorders that log and count requests."""
