"""Contains the modules of the operator's process, such as the work queue, the workers and the reconciliation."""
