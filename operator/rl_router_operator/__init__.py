"""The Kubernetes operator of RL Router. The operator creates, changes and deletes the objects of each router."""
