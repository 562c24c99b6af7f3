"""The Kubernetes operator of RL Router, which turns each RouterDeployment into a running router."""
