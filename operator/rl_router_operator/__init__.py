"""The Kubernetes operator of RL Router. The operator turns each RouterDeployment into a running router."""
