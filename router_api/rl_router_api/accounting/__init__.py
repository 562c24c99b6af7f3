"""Accounting: the ledger of a request with all calls and their exact costs, and the recorders of ended requests."""
