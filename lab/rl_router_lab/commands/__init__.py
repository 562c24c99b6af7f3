"""The commands of `rl-router lab`."""
