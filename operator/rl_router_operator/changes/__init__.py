"""What to change in the cluster: pure functions from desired and live objects to actions."""
