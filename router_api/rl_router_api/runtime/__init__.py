"""The state of a serving process: the active configuration, configuration reloads, and the health of the upstreams."""
