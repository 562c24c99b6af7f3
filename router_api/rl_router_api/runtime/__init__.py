"""What a serving process holds: the configuration in force, its reloading, and the state of its upstreams."""
