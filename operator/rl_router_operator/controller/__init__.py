"""The operator's process: the work queue, the workers, and the reconciliation of one RouterDeployment."""
