"""Calls to the router model and the targets: connections, streams, circuit breakers and the state of each upstream."""
