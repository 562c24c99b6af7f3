"""A Kubernetes cluster without nodes: a real API server, and what tests use instead of kubelet and other components."""
