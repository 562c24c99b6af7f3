"""How one RouterDeployment is: pure functions from what is observed to its status."""
