"""A Kubernetes cluster without nodes: a real API server, with fakes of the kubelet and other components."""
