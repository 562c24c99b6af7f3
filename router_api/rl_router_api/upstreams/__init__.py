"""The code that calls the router model and the targets: connections, streams, circuit breakers and the states
of upstreams."""
