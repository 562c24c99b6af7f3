"""The state of a serving process: the active configuration, its reload, and the health of its upstreams."""
