"""A Kubernetes cluster without nodes, which has a real API server and fakes of the kubelet and other components."""
