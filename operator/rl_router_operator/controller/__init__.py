"""The operator's process: the work queue, the reconciliation of one RouterDeployment, and what serves them."""
