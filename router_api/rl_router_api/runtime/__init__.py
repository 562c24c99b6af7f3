"""What a serving process holds: the configuration in force, how it is reloaded, and the state of its upstreams."""
