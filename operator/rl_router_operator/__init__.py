"""RL Router's control plane: a Kubernetes operator that turns each RouterDeployment into a running router."""
