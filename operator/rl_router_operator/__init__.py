"""RL Router's control plane: a Kubernetes operator that turns one RouterDeployment into a running router."""
