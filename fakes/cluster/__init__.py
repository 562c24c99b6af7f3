"""A Kubernetes cluster without nodes.

The cluster has a real API server, and fakes of components such as the kubelet.
"""
