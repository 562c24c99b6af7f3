"""The ledger of a request (its calls and their exact costs), and its recorders: log, metrics, traces."""
