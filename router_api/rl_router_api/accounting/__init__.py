"""Accounting: the ledger of a request with all attempts and their costs, and the recorders of ended requests."""
