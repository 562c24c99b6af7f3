"""What to change in the cluster: pure functions from what is wanted and what is there to actions."""
