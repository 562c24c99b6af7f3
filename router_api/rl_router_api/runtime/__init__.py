"""The state of a server process, such as the active configuration, the load, and the health of the upstreams."""
